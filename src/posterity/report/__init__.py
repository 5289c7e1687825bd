"""Figures from a result alone.

Each figure is a function of a small frozen value of plain arrays (`posterity.report.view`), so that drawing
can happen in a worker process, and each is drawn with Matplotlib's object interface (no pyplot, no global
state) on the Agg canvas.
"""
