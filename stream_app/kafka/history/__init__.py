"""What commands read of the topics, and copy: without a group, and without writing to them.

Workers never import from here.
"""
