//! Plots, as SVG text.

use anyhow::{Result, anyhow};
use plotters::{
    chart::{ChartBuilder, SeriesLabelPosition},
    coord::{
        Shift,
        combinators::IntoLogRange as _,
        ranged1d::{IntoSegmentedCoord as _, SegmentValue},
    },
    drawing::{DrawingArea, IntoDrawingArea as _},
    element::{Circle, EmptyElement, PathElement, Rectangle, Text},
    prelude::SVGBackend,
    series::LineSeries,
    style::{BLACK, Color as _, IntoFont as _, RGBColor, WHITE},
};

/// Colours that those who see few of them tell apart, too (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];
const WIDTH: u32 = 860;
/// Room for the longest name of a bar.
const NAMES: u32 = 250;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    /// Which colour: bars of one kind have the same.
    pub(super) kind: usize,
}

/// A line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Bars from left to right, the first on top.
///
/// # Errors
/// The library fails.
pub(super) fn bars(title: &str, unit: &str, bars: &[Bar]) -> Result<String> {
    let height = 110 + 26 * u32::try_from(bars.len())?;
    drawn(height, |area| {
        let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(40)
            .y_label_area_size(NAMES)
            .build_cartesian_2d(
                0.0..most * 1.12,
                (0..bars.len().saturating_sub(1)).into_segmented(),
            )
            .map_err(failed)?;
        let name = |at: &SegmentValue<usize>| match at {
            SegmentValue::CenterOf(at) | SegmentValue::Exact(at) => from_below(bars, *at)
                .map(|bar| bar.name.clone())
                .unwrap_or_default(),
            SegmentValue::Last => String::new(),
        };
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(WHITE)
            .x_desc(unit)
            .y_labels(bars.len())
            .y_label_formatter(&name)
            .label_style(("sans-serif", 13))
            .draw()
            .map_err(failed)?;
        let boxes = (0..bars.len()).filter_map(|at| {
            let bar = from_below(bars, at)?;
            let corners = [
                (0.0, SegmentValue::Exact(at)),
                (bar.value, SegmentValue::Exact(at + 1)),
            ];
            let mut bar = Rectangle::new(corners, colour(bar.kind).filled());
            bar.set_margin(4, 4, 0, 0);
            Some(bar)
        });
        chart.draw_series(boxes).map_err(failed)?;
        let values = (0..bars.len()).filter_map(|at| {
            let bar = from_below(bars, at)?;
            let text = Text::new(short(bar.value), (6, -6), ("sans-serif", 13).into_font());
            Some(EmptyElement::at((bar.value, SegmentValue::CenterOf(at))) + text)
        });
        chart.draw_series(values).map_err(failed)?;
        Ok(())
    })
}

/// Lines over what grows by factors; upwards too, if it is `steep`.
///
/// # Errors
/// The library fails.
pub(super) fn lines(
    title: &str,
    [x, y]: [&str; 2],
    is_steep: bool,
    lines: &[Line],
) -> Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        points()
            .map(of)
            .fold((f64::INFINITY, 0.0_f64), |(least, most), it| {
                (least.min(it), most.max(it))
            })
    };
    let ((left, right), (low, high)) = (bounds(|it| it.0), bounds(|it| it.1));
    let across = (left * 0.8..right * 1.25).log_scale();
    drawn(400, |area| {
        let mut builder = ChartBuilder::on(area);
        builder
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .margin_right(24)
            .x_label_area_size(44)
            .y_label_area_size(64);
        // The two kinds of axis are two types of chart.
        macro_rules! draw {
            ($upwards:expr) => {{
                let mut chart = builder
                    .build_cartesian_2d(across, $upwards)
                    .map_err(failed)?;
                chart
                    .configure_mesh()
                    .light_line_style(WHITE)
                    .x_desc(x)
                    .x_labels(5)
                    .y_desc(y)
                    .x_label_formatter(&|value| short(*value))
                    .y_label_formatter(&|value| short(*value))
                    .label_style(("sans-serif", 13))
                    .draw()
                    .map_err(failed)?;
                for (line, number) in lines.iter().zip(0..) {
                    let colour = colour(number);
                    let drawn = LineSeries::new(line.points.clone(), colour.stroke_width(2));
                    chart
                        .draw_series(drawn)
                        .map_err(failed)?
                        .label(line.name.clone())
                        .legend(move |(x, y)| {
                            PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2))
                        });
                    let dots = line.points.iter();
                    chart
                        .draw_series(dots.map(|at| Circle::new(*at, 3, colour.filled())))
                        .map_err(failed)?;
                }
                chart
                    .configure_series_labels()
                    .position(SeriesLabelPosition::UpperLeft)
                    .background_style(WHITE.mix(0.8))
                    .border_style(BLACK.mix(0.3))
                    .label_font(("sans-serif", 13))
                    .draw()
                    .map_err(failed)?;
            }};
        }
        if is_steep {
            // Room for the names above the lines.
            draw!((low * 0.7..high * (high / low).max(2.0).powf(0.4)).log_scale());
        } else {
            draw!(0.0..high * 1.4);
        }
        Ok(())
    })
}

fn drawn(height: u32, draw: impl FnOnce(&Area<'_>) -> Result<()>) -> Result<String> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(text)
}

/// Charts count from below.
fn from_below(bars: &[Bar], at: usize) -> Option<&Bar> {
    bars.iter().rev().nth(at)
}

fn colour(kind: usize) -> RGBColor {
    COLOURS.into_iter().cycle().nth(kind).unwrap_or(BLACK)
}

/// A number with as many digits as one can see, and the thousands of large ones as `k` and `M`.
pub(super) fn short(value: f64) -> String {
    let (value, suffix) = match value {
        value if value >= 999_500.0 => (value / 1e6, " M"),
        value if value >= 9_999.5 => (value / 1e3, " k"),
        value => (value, ""),
    };
    let text = match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    };
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{suffix}")
}

/// The library's errors bear what it draws on, which does not live as long.
fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("drawing a plot: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (0.126, "0.13"),
            (1.5, "1.5"),
            (12.34, "12.3"),
            (123.4, "123"),
            (9_999.0, "9999"),
            (65_537.0, "65.5 k"),
            (1_048_576.0, "1.05 M"),
        ];
        for (value, text) in cases {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn each_bar_is_named_and_valued() {
        let bar = |name: &str, value| Bar {
            name: name.to_owned(),
            value,
            kind: 0,
        };
        let svg = bars("Title", "ns", &[bar("first", 1.5), bar("second", 3.0)]).unwrap();
        for text in ["<svg", "Title", "first", "second", "1.5", "ns"] {
            assert!(svg.contains(text), "{text} in {svg}");
        }
        let place = |text| svg.find(text).unwrap();
        assert_ne!(place("first"), place("second"));
    }

    #[test]
    fn each_line_is_named() {
        let line = Line {
            name: "rising".to_owned(),
            points: vec![(1.0, 2.0), (1_000.0, 4.0)],
        };
        for is_steep in [false, true] {
            let svg = lines(
                "Title",
                ["flows", "x"],
                is_steep,
                std::slice::from_ref(&line),
            )
            .unwrap();
            assert!(svg.contains("rising") && svg.contains("flows"), "{svg}");
        }
    }
}
