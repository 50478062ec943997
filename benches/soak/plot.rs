//! Draws figures of the soak over its seconds.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use session_node_testing::soak::Look;

const COLOURS: [RGBColor; 2] = [RGBColor(31, 107, 177), RGBColor(214, 152, 54)];

/// A name, and the figure of a look.
pub type Line = (&'static str, fn(&Look) -> f64);

/// Draws two charts, one below the other, as SVG.
pub fn draw(looks: &[Look], charts: [[Line; 2]; 2], path: &Path) -> Result<()> {
    let root = SVGBackend::new(path, (860, 520)).into_drawing_area();
    // The errors of plotters borrow the area.
    let draw = || -> Result<(), Box<dyn std::error::Error + '_>> {
        root.fill(&WHITE)?;
        let (above, below) = root.split_vertically(260);
        for (area, lines) in [above, below].iter().zip(charts) {
            draw_chart(area, looks, lines).map_err(|error| error.to_string())?;
        }
        Ok(root.present()?)
    };
    draw().map_err(|error| anyhow!("cannot draw the plot: {error}"))
}

fn draw_chart<'a>(
    area: &'a DrawingArea<SVGBackend<'_>, Shift>,
    looks: &[Look],
    lines: [Line; 2],
) -> Result<(), Box<dyn std::error::Error + 'a>> {
    let end = looks.last().map_or(1.0, |look| look.seconds);
    let values = lines
        .iter()
        .flat_map(|(_, figure)| looks.iter().map(figure));
    // Leaves room for the legend.
    let top = values.fold(0.0, f64::max) * 1.45;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    let mut mesh = chart.configure_mesh();
    mesh.x_desc("second").light_line_style(TRANSPARENT).draw()?;
    for ((name, figure), colour) in lines.into_iter().zip(COLOURS) {
        let points = looks.iter().map(|look| (look.seconds, figure(look)));
        let line = LineSeries::new(points, colour.stroke_width(2));
        let legend = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2));
        chart.draw_series(line)?.label(name).legend(legend);
    }
    let mut labels = chart.configure_series_labels();
    labels
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE);
    Ok(labels.draw()?)
}
