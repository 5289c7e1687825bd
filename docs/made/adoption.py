"""The figure of the README: `python docs/made/adoption.py`, from the root of the checkout."""

from picture import picture

from posterity import Portfolio
from posterity.report.multiples import multiples_png
from posterity.report.view import entity_views

if __name__ == "__main__":
    result = Portfolio("configs/adoption.yaml").fit()
    shown = [f"P{i:02} / {region}" for i in (1, 6, 11) for region in ("north", "south", "east", "west")]
    title, subtitle = (
        "adoption: 12 of 120 products × regions",
        "share that has adopted, by week; median, 50 and 90 % intervals",
    )
    picture("adoption", multiples_png(list(entity_views(result, shown, marginals=False)), title, subtitle))
