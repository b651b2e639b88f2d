from __future__ import annotations

from stream_app.domain.catalog.attack_types import ATTACK_TYPES, attack_type_name

DOCUMENTED = """
dos sqli nosqli rce ssi ssti ldapi mail_injection ssrf ptrav xxe scanner xss redir crlf Enum brute
bola dirbust mass_assignment api_abuse account_takeover security_crawlers scraping
resource_consumption ai_prompt_retrieval ai_prompt_injection query_anomaly graphql_attacks
gql_doc_size gql_value_size gql_depth gql_aliases gql_docs_per_batch gql_introspection gql_debug
api_specification undefined_endpoint undefined_parameter invalid_parameter_value missing_parameter
missing_auth invalid_request data_bomb invalid_xml processing_overlimit overlimit_res
blocked_source vpatch api_leak file_delete auth broken_access bfla buffer_overflow
credential_stuffing csrf file_read file_upload_violation request_smuggling
"""


def test_all_documented_codes_and_no_others_have_a_name() -> None:
    assert {code.lower() for code in DOCUMENTED.split()} == ATTACK_TYPES.keys()
    assert len(set(ATTACK_TYPES.values())) == len(ATTACK_TYPES)


def test_codes_are_named_without_regard_to_case() -> None:
    assert attack_type_name("sqli") == attack_type_name("SQLI") == "SQLi"
    assert attack_type_name("Enum") == "Enumeration"


def test_an_unknown_code_is_its_own_name() -> None:
    assert attack_type_name("New_Kind") == "New_Kind"
