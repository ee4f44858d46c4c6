"""A Keras functional graph as data: read, folded, rewritten, rebuilt.

Importing this package does not import Keras; its modules do: import `prepare` and the others from their modules, inside a function.
"""
