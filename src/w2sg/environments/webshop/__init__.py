"""WebShop (Yao et al., 2022; paper, section 4.1) in text, on an engine of our own that answers as the original does.

The original renders HTML with a web framework, searches with Lucene and parses its own pages back; this engine writes
the same text observations directly. It reads the original's catalogue files, or generated ones in the same format.
"""
