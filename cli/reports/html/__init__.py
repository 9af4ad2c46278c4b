"""The report as one HTML page: the events as columns, Bokeh charts of them, tables, and the page that holds all."""
