"""Interactive views of traces and diffs: plotly figures in ipywidgets, built from rows.

Nothing here is imported before somebody looks at a view: plotly's figure widget takes seconds to import.
"""
