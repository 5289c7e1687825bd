"""From prior to posterior, parameter by parameter, for an entity that learned from others."""

from matplotlib.figure import Figure

from posterity.report import marginals, style
from posterity.report.entity import prior_facts
from posterity.report.view import EntityView

MOST = 24
_WIDTH, _LEFT, _TOP, _ROW = 10.0, 0.4, 1.05, 1.75


def transfer_figure(view: EntityView) -> Figure:
    """Declared prior, transferred prior with its vague component, and posterior of up to 24 parameters.

    The entity figure shows the same of the first eight, smaller.
    """
    shown = view.marginals[:MOST]
    columns = 3 if len(shown) in (5, 6, 9) else min(4, max(2, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    height = _TOP + 0.28 + rows * _ROW + 0.2
    figure = style.canvas(_WIDTH, height)
    room = _WIDTH - 2 * _LEFT
    title = style.fit(f"{view.entity}: prior to posterior", room / 1.15, 14)
    style.write(figure, _LEFT, 0.22, title, 14, fontweight="bold")
    facts = prior_facts(view) or ["the declared prior"]
    if "n_rows" in view.diagnostics:
        rows_seen = view.diagnostics["n_rows"]
        facts.append(f"{rows_seen:,.0f} row{'' if rows_seen == 1 else 's'} of its own")
    style.write(figure, _LEFT, 0.58, style.fit(" · ".join(facts), room, 9), 9, style.MUTED)
    if not shown:
        text = view.reason or "The result holds no draws of it."
        for i, line in enumerate(style.wrap(text, room, 9.5, 6)):
            style.write(figure, _LEFT, _TOP + 0.2 * i, line, 9.5)
        return figure
    # The last row of panels ends where its ticks do.
    marginals.draw(figure, shown, _LEFT, _TOP, room, 0.28 + rows * _ROW - 0.3, columns)
    if hidden := len(view.marginals) - len(shown):
        note = f"and {hidden:,} more parameter{'s' if hidden > 1 else ''} in parameters.parquet"
        style.write(figure, _WIDTH - _LEFT, height - 0.2, note, 7.5, style.MUTED, ha="right")
    return figure


def transfer_png(view: EntityView) -> bytes:
    """Prior to posterior as a PNG file."""
    return style.png(transfer_figure(view))
