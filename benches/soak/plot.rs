//! The soak as a plot: memory and live sessions above, latency below.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::mebibytes;
use session_node_testing::soak::Look;

const MEMORY: RGBColor = RGBColor(31, 107, 177);
const OTHER: RGBColor = RGBColor(214, 152, 54);

pub fn draw(looks: &[Look], path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, (860, 520)).into_drawing_area();
    let drawn = root.fill(&WHITE).map_err(|error| anyhow!("{error}"));
    drawn?;
    let (above, below) = root.split_vertically(260);
    #[expect(clippy::cast_precision_loss, reason = "a plot")]
    let live = |look: &Look| look.live_sessions as f64 / 10_000.0;
    let micros = |time: std::time::Duration| time.as_secs_f64() * 1e6;
    chart(
        &above,
        looks,
        "second",
        &[
            ("resident memory, MiB", MEMORY, &mebibytes),
            ("live sessions, tens of thousands", OTHER, &live),
        ],
    )?;
    chart(
        &below,
        looks,
        "second",
        &[
            ("lone validation, p50, µs", MEMORY, &|look: &Look| {
                micros(look.lone_p50)
            }),
            ("batch of 256, p50 by 10, µs", OTHER, &|look: &Look| {
                micros(look.batch_p50) / 10.0
            }),
        ],
    )?;
    root.present().map_err(|error| anyhow!("{error}"))
}

type Row<'a> = (&'a str, RGBColor, &'a dyn Fn(&Look) -> f64);

fn chart(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    looks: &[Look],
    across: &str,
    rows: &[Row<'_>],
) -> Result<()> {
    let end = looks.last().map_or(1.0, |look| look.seconds);
    let values = rows.iter().flat_map(|(_, _, of)| looks.iter().map(*of));
    let top = values.fold(0_f64, f64::max) * 1.45;
    let failed = |error| anyhow!("the plot cannot be drawn: {error}");
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc(across)
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(failed)?;
    for (name, colour, of) in rows {
        let colour = *colour;
        let points = looks.iter().map(|look| (look.seconds, of(look)));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))
            .map_err(failed)?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .draw()
        .map_err(failed)
}
