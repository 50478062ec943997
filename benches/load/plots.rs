//! A plot: one line for each contestant on a logarithmic scale, with a mark for each of its figures.

use anyhow::{Result, anyhow};
use plotters::prelude::*;

use crate::contestant::Contestant;

const NODE: RGBColor = RGBColor(31, 107, 177);
const FLOOR: RGBColor = RGBColor(214, 152, 54);
const PEER: RGBColor = RGBColor(140, 148, 160);

/// A line with its marks.
pub struct Row {
    pub name: String,
    pub contestant: Contestant,
    /// The least first.
    pub values: Vec<f64>,
}

/// Draws the rows from top to bottom as SVG. `sizes` are those of the marks, and `figure` formats the numbers below.
pub fn draw(title: &str, rows: &[Row], sizes: &[i32], figure: fn(f64) -> String) -> Result<String> {
    let mut svg = String::new();
    let height = 70 + 22 * u32::try_from(rows.len())?;
    let area = SVGBackend::with_string(&mut svg, (860, height)).into_drawing_area();
    // The errors of plotters borrow the area.
    draw_rows(&area, title, rows, sizes, figure).map_err(|error| anyhow!("{error}"))?;
    drop(area);
    Ok(svg)
}

fn draw_rows(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    rows: &[Row],
    sizes: &[i32],
    figure: fn(f64) -> String,
) -> Result<(), Box<dyn std::error::Error>> {
    let values = || rows.iter().flat_map(|row| row.values.iter().copied());
    let (least, most) = (
        values().fold(f64::MAX, f64::min),
        values().fold(0.0, f64::max),
    );
    let count = i32::try_from(rows.len())?;
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 18))
        .x_label_area_size(24)
        .y_label_area_size(200)
        .build_cartesian_2d((least * 0.8..most * 1.2).log_scale(), -1..count)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(6)
        .y_labels(rows.len() + 2)
        .y_label_formatter(&|place| {
            let row = usize::try_from(count - 1 - place)
                .ok()
                .and_then(|row| rows.get(row));
            row.map_or(String::new(), |row| row.name.clone())
        })
        .x_label_formatter(&|value| figure(*value))
        .draw()?;
    for (row, y) in rows.iter().rev().zip(0..) {
        let colour = match row.contestant {
            Contestant::SessionNode => NODE,
            Contestant::ParseFloor | Contestant::EchoFloor => FLOOR,
            _ => PEER,
        };
        let points: Vec<_> = row.values.iter().map(|value| (*value, y)).collect();
        let marks = points.iter().zip(sizes);
        chart
            .draw_series(marks.map(|(point, size)| Circle::new(*point, *size, colour.filled())))?;
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
    }
    area.present()?;
    Ok(())
}
