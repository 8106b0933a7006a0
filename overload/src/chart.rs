//! Curves as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::sample::{Of, Sample};

const SIZE: (u32, u32) = (760, 460);

/// Points of a curve: a picture has no room for more.
const POINTS_MAX: usize = 240;

const MIB: f64 = 1_048_576.0;

const MEMORY: [(&str, Of, RGBColor); 4] = [
    ("Envoy RSS", |s| s.envoy_rss, RGBColor(31, 119, 180)),
    ("Envoy allocated", |s| s.allocated, RGBColor(44, 160, 44)),
    ("accept VM", |s| s.accept_vm, RGBColor(214, 39, 40)),
    ("drain VM", |s| s.drain_vm, RGBColor(148, 103, 189)),
];

/// Draws memory above, and who waits below.
pub(crate) fn draw(
    file: &Path,
    title: &str,
    samples: &[Sample],
    moments: &[(f64, &str)],
) -> Result<()> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    let (above, below) = root.split_vertically(310);
    let memory: Vec<_> = MEMORY
        .iter()
        .map(|(name, of, colour)| (*name, mebibytes(samples, *of), *colour))
        .collect();
    let waiting = vec![(
        "waiting requests",
        curve(samples, |s| s.waiting).collect(),
        RGBColor(90, 90, 90),
    )];
    panel(&above, title, "MiB", &memory, moments)?;
    panel(&below, "", "requests", &waiting, moments)?;
    root.present().map_err(|error| anyhow!("{}: {error}", file.display()))
}

type Curve = (&'static str, Vec<(f64, f64)>, RGBColor);

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    unit: &str,
    curves: &[Curve],
    moments: &[(f64, &str)],
) -> Result<()> {
    let points = || curves.iter().flat_map(|(_, points, _)| points);
    let most = |value: fn(&(f64, f64)) -> f64| points().map(value).fold(1.0, f64::max);
    let (end, top) = (most(|point| point.0), most(|point| point.1) * 1.1);
    let wrong = |error: String| anyhow!("the picture can't be drawn: {error}");
    let mut builder = ChartBuilder::on(area);
    builder.margin(8).x_label_area_size(38).y_label_area_size(62);
    if !title.is_empty() {
        builder.caption(title, ("sans-serif", 18));
    }
    let mut chart = builder
        .build_cartesian_2d(0.0..end, 0.0..top)
        .map_err(|error| wrong(error.to_string()))?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .max_light_lines(1)
        .x_labels(10)
        .y_labels(5)
        .x_desc("seconds")
        .y_desc(unit)
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .label_style(("sans-serif", 15))
        .draw()
        .map_err(|error| wrong(error.to_string()))?;
    let grey = RGBColor(150, 150, 150);
    let style = TextStyle::from(("sans-serif", 15))
        .color(&grey)
        .pos(Pos::new(HPos::Left, VPos::Top));
    for (second, name) in moments {
        let line = [(*second, 0.0), (*second, top)];
        let drawn = chart.draw_series([PathElement::new(line, grey)]);
        drawn.map_err(|error| wrong(error.to_string()))?;
        let name = if title.is_empty() { "" } else { name };
        let text = Text::new(name.to_owned(), (*second, top), style.clone());
        let drawn = chart.draw_series([text]);
        drawn.map_err(|error| wrong(error.to_string()))?;
    }
    for (name, points, colour) in curves {
        let colour = *colour;
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour))
            .map_err(|error| wrong(error.to_string()))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(("sans-serif", 15))
        .background_style(WHITE.mix(0.8))
        .draw()
        .map_err(|error| wrong(error.to_string()))
}

fn mebibytes(samples: &[Sample], of: Of) -> Vec<(f64, f64)> {
    curve(samples, of).map(|(x, y)| (x, y / MIB)).collect()
}

/// Of each stretch of a long curve its largest value.
fn curve(samples: &[Sample], of: Of) -> impl Iterator<Item = (f64, f64)> {
    let stretch = samples.len().div_ceil(POINTS_MAX).max(1);
    samples.chunks(stretch).filter_map(move |part| {
        let most = part.iter().map(of).max()?;
        Some((part.first()?.seconds, most as f64))
    })
}
