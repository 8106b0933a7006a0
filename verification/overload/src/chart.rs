//! Curves as SVG.

use std::fmt::Display;
use std::path::Path;

use anyhow::{Error, Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::sample::{Of, Sample};

const SIZE: (u32, u32) = (760, 470);

/// Where the panels begin, below the title and the names of the curves.
const HEAD: i32 = 48;
const BELOW: i32 = 330;

/// Points of a curve: a picture has no room for more.
const POINTS_MAX: usize = 240;

const MIB: f64 = 1_048_576.0;
const GREY: RGBColor = RGBColor(120, 120, 120);

/// A curve: its name, its colour, what it shows, and the unit of that.
type Curve = (&'static str, RGBColor, Of, f64);

const MEMORY: [Curve; 4] = [
    ("Envoy's RSS", RGBColor(31, 119, 180), |s| s.envoy_rss, MIB),
    (
        "Envoy allocated",
        RGBColor(44, 160, 44),
        |s| s.allocated,
        MIB,
    ),
    ("accept VM", RGBColor(214, 39, 40), |s| s.accept_vm, MIB),
    ("drain VM", RGBColor(148, 103, 189), |s| s.drain_vm, MIB),
];

const WAITING: [Curve; 1] = [("waiting", GREY, |s| s.waiting, 1.0)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws memory above, and how many requests wait below.
pub(crate) fn draw(
    file: &Path,
    title: &str,
    samples: &[Sample],
    moments: &[(f64, &'static str)],
) -> Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    let (head, panels) = root.split_vertically(HEAD);
    let (above, below) = panels.split_vertically(BELOW - HEAD);
    write(&head, title, (10, 6), 18, BLACK)?;
    for (place, (name, colour, ..)) in (0..).zip(MEMORY) {
        write(&head, name, (70 + 150 * place, 30), 15, colour)?;
    }
    panel(&above, "MiB", &MEMORY, samples, moments)?;
    panel(&below, "waiting requests", &WAITING, samples, &[])?;
    root.present().map_err(wrong)
}

fn panel(
    area: &Area<'_>,
    unit: &str,
    curves: &[Curve],
    samples: &[Sample],
    moments: &[(f64, &'static str)],
) -> Result<()> {
    let points: Vec<Vec<(f64, f64)>> = curves.iter().map(|curve| points(samples, curve)).collect();
    let most =
        |value: fn(&(f64, f64)) -> f64| points.iter().flatten().map(value).fold(1.0, f64::max);
    let (end, top) = (most(|point| point.0), most(|point| point.1) * 1.15);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(38)
        .y_label_area_size(62)
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(0)
        .x_labels(10)
        .y_labels(5)
        .x_desc("seconds")
        .y_desc(unit)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .label_style(("sans-serif", 14))
        .draw()
        .map_err(wrong)?;
    for (second, name) in moments {
        let line = PathElement::new([(*second, 0.0), (*second, top)], GREY);
        chart.draw_series([line]).map_err(wrong)?;
        let style = ("sans-serif", 13).into_font().color(&GREY);
        let text = Text::new(format!(" {name}"), (*second, top), style);
        chart.draw_series([text]).map_err(wrong)?;
    }
    for ((_, colour, ..), points) in curves.iter().zip(points) {
        let line = LineSeries::new(points, *colour);
        chart.draw_series(line).map_err(wrong)?;
    }
    Ok(())
}

fn write(area: &Area<'_>, text: &str, at: (i32, i32), size: u32, colour: RGBColor) -> Result<()> {
    let style = ("sans-serif", size).into_font().color(&colour);
    area.draw(&Text::new(text, at, style)).map_err(wrong)
}

/// Returns the largest value in each stretch of a long curve.
fn points(samples: &[Sample], (_, _, of, unit): &Curve) -> Vec<(f64, f64)> {
    let stretch = samples.len().div_ceil(POINTS_MAX).max(1);
    let parts = samples.chunks(stretch);
    let point = |part: &[Sample]| {
        let most = part.iter().map(of).max()?;
        Some((part.first()?.seconds, most as f64 / unit))
    };
    parts.filter_map(point).collect()
}

fn wrong(error: impl Display) -> Error {
    anyhow!("the picture can't be drawn: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_peaks_in_few_points() {
        let sample = |second: u16| Sample {
            seconds: f64::from(second),
            waiting: if second == 777 { 90 } else { 1 },
            ..Sample::default()
        };
        let samples: Vec<Sample> = (0..1_000).map(sample).collect();
        let points = points(&samples, &WAITING[0]);
        assert!(points.len() <= POINTS_MAX, "{}", points.len());
        assert!(points.contains(&(775.0, 90.0)), "{points:?}");
    }
}
