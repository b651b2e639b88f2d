# ruff: noqa: E501 - the documented texts are kept as they are
"""The documented events, word for word, and their clients."""

from __future__ import annotations

from stream_app.domain.configuration.client_names import ClientNames
from stream_app.domain.configuration.clients import Client

HIT_ENVELOPE = rb"""{"summary":"[Wallarm] New hit detected","details":{"client_name":"Acme Retail","cloud":"EU","notification_type":"new_hits","hit":{"host":"shop.acme.example","heur_distance":20.71,"method":"GET","path":"/catalog","payloads":["1' union select 1,2--"],"point":["get","id"],"probability":20.71,"remote_country":"PL","remote_port":41253,"remote_addr4":"203.0.113.10","remote_addr6":null,"datacenter":"unknown","tor":"none","request_time":1767225600,"create_time":1767225603,"response_len":345,"response_status":404,"response_time":359,"stamps":[7965],"regex":[],"stamps_hash":271168947,"regex_hash":-2147483648,"type":"sqli","block_status":"monitored","brute_counter":"b:1111:9f2c6d0ab1e4f733","final_wallarm_mode":"monitoring","libproton_version":"5.0.1","lom_id":932,"protocol":"rest","proxy_type":null,"request_id":"d4184a2f138b73c7ef4f7090deb5dfe1","wallarm_mode":null,"id":["hits_production_1111_202601_v_1","c2dd33831a13be0d"],"object_type":"hit","anomaly":1.04,"parameter":"GET_id_value","applications":["default"]}}}"""
ATTACK = rb"""{"object_type":"attack","client_id":1111,"id":["attacks_production_1111_202601_v_1","a1b2c3"],"type":"sqli","host":"shop.acme.example","path":"/catalog","parameter":"GET_id_value","target":"database","poolid":-1,"remote_addrs":["203.0.113.10"],"response_statuses":[404],"block_status":"monitored","first_time":1767225600,"last_time":1767225600,"hits_count":1,"experimental":false,"state":null,"vulnid":null}"""
INCIDENT = rb"""{"object_type":"incident","client_id":1111,"id":["attacks_production_1111_202601_v_1","a1b2c4"],"type":"ptrav","host":"shop.acme.example","path":"/download","parameter":"GET_file_value","target":"server","poolid":7,"remote_addrs":["198.51.100.7"],"response_statuses":[200],"block_status":"monitored","first_time":1767225661,"last_time":1767225661,"hits_count":1,"experimental":false,"state":null,"vulnid":106279}"""
SECURITY_ISSUE = rb"""{"summary":"[Wallarm] New security issue detected","description":"Notification type: security_issue\n\nNew security issue was detected in your system.\n\nID: 106279\nTitle: Reflected XSS\nHost: shop.acme.example\nPath: /search\nMethod: GET\nDiscovered by: Passive Detect\nParameter: GET_q_value\nType: Cross-site scripting\nRisk: Medium\n\nMore details: https://us1.my.wallarm.com/object/106279\n\n\nClient: Acme Retail\nCloud: US\n","details":{"client_name":"Acme Retail","cloud":"US","notification_type":"security_issue","security_issue_link":"https://us1.my.wallarm.com/object/106279","security_issue":{"host":"shop.acme.example","id":106279,"method":"GET","parameter":"GET_q_value","path":"/search","title":"Reflected XSS","discovered_by":"Passive Detect","risk":"Medium","type":"Cross-site scripting"}}}"""

ACME, TWIN, OTHER_TWIN = 1111, 2221, 2222
CLIENTS = {
    ACME: Client(ACME, "Acme Retail", "EU", {7: "Shop", 8: "API", 9: "API"}),
    TWIN: Client(TWIN, "Twin", "EU", {}),
    OTHER_TWIN: Client(OTHER_TWIN, "Twin", "US", {}),
}
NAMES = ClientNames(CLIENTS)
