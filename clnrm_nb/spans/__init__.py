"""Spans: received, collected, loaded, kept in columns, brought into canonical form, framed.

``model`` and ``table`` say what a span is; ``receiver``, ``collector`` and ``owner`` bring the spans of a
running test together; ``loaders`` read files; ``canonical`` and ``frame`` are what others see of them. Import
the module you need: the receiver loads tornado and protobuf, ``frame`` loads pandas.
"""
