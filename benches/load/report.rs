//! The document that a run writes: where it took place, the goals, and the tables and plots of each part.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::stats::Spread;

const BEGIN: &str = "<!-- load: begin -->";
const END: &str = "<!-- load: end -->";

/// The figures of one part of the bench.
pub struct Part {
    pub goals: Vec<Goal>,
    /// Its heading and its tables.
    pub text: String,
    /// The name of an SVG file, and its content.
    pub plot: Option<(&'static str, String)>,
}

/// A figure that the node is meant to reach.
pub struct Goal {
    pub figure: &'static str,
    pub limit: Limit,
    /// Missing if a contestant was, or if the run was too small.
    pub measured: Option<Spread>,
    pub note: String,
}

/// A limit for the median.
pub enum Limit {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    pub fn new(figure: &'static str, limit: Limit, measured: Option<Spread>) -> Self {
        let note = String::new();
        Self {
            figure,
            limit,
            measured,
            note,
        }
    }

    fn cells(&self) -> [String; 5] {
        let median = self.measured.map(|measured| measured.median);
        let (limit, is_reached) = match self.limit {
            Limit::AtLeast(least) => (format!("≥ {least}"), median.map(|it| it >= least)),
            Limit::AtMost(most) => (format!("≤ {most}"), median.map(|it| it <= most)),
        };
        let measured = self.measured.map(|measured| measured.to_string());
        [
            self.figure.to_owned(),
            limit,
            measured.unwrap_or("not measured".to_owned()),
            is_reached
                .map_or("", |yes| if yes { "yes" } else { "**no**" })
                .to_owned(),
            self.note.clone(),
        ]
    }
}

/// The text of a table whose first two lines are `head`.
pub fn table<const N: usize>(head: &str, rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut text = format!("\n{head}\n");
    let lines = rows
        .into_iter()
        .map(|cells| format!("| {} |\n", cells.join(" | ")));
    text.extend(lines);
    text
}

/// The directory in which a run writes `benchmarks.md` and the plots.
pub struct Report {
    directory: PathBuf,
    document: String,
}

impl Report {
    /// Reads the `benchmarks.md` of the directory, or begins one. Called before the run, so that a run of ten minutes
    /// does not fail at its end because it cannot write.
    pub fn open(directory: PathBuf) -> Result<Self> {
        fs::create_dir_all(&directory)?;
        let path = directory.join("benchmarks.md");
        let document = fs::read_to_string(&path).unwrap_or_else(|_| format!("{BEGIN}\n{END}\n"));
        replace_figures(&document, "")
            .with_context(|| format!("{} has no {BEGIN} … {END}", path.display()))?;
        Ok(Self {
            directory,
            document,
        })
    }

    /// Prints the figures, and writes them with the plots.
    pub fn publish(&self, circumstances: &str, parts: &[Part]) -> Result<()> {
        let goals = parts.iter().flat_map(|part| &part.goals);
        let head = "| figure | goal | measured | reached | note |\n| --- | --- | --- | --- | --- |";
        let mut figures = format!(
            "{circumstances}\n### Targets\n\nRatios are taken round by round: median (least to most).\n{}",
            table(head, goals.map(Goal::cells))
        );
        figures.extend(parts.iter().map(|part| part.text.as_str()));
        println!("{figures}");
        let document = replace_figures(&self.document, &figures).context("open checked them")?;
        fs::write(self.directory.join("benchmarks.md"), document)?;
        for (name, plot) in parts.iter().filter_map(|part| part.plot.as_ref()) {
            fs::write(self.directory.join(name), plot)?;
        }
        eprintln!("written to {}", self.directory.display());
        Ok(())
    }
}

/// The document with `figures` between the markers.
fn replace_figures(document: &str, figures: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{figures}{END}{after}"))
}
