//! Bar charts as SVG, by hand: no more than rectangles, lines and text. Pure.
//!
//! The ground is transparent and the colours of text follow the page, light or dark.
use crate::bench::groups::{Spread, number};
use crate::bench::options::TargetName;
use std::fmt::Write;

const WIDTH: f64 = 750.0;
/// Where bars begin: labels stand left of it.
const LEFT: f64 = 180.0;
/// The longest bar; figures stand right of it.
const LONGEST: f64 = 400.0;
const TOP: f64 = 64.0;
const BAR: f64 = 16.0;
/// Between the rows.
const GAP: f64 = 14.0;

const STYLE: &str = "<style>
  text { font: 12px system-ui, sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .etcd { fill: #8b949e } .troupe, .running { fill: #0b6bcb }
  .spread { stroke: #1f2328; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .spread { stroke: #e6edf3 }
    .etcd { fill: #768390 } .troupe, .running { fill: #4fa3ff }
  }
</style>
";

/// A figure of a system.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    pub target: TargetName,
    pub spread: Spread,
}

/// Bars that are to be compared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub label: String,
    pub bars: Vec<Bar>,
}

/// A picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chart {
    pub title: String,
    pub rows: Vec<Row>,
}

impl Chart {
    /// The file's text.
    #[must_use]
    pub fn svg(&self) -> String {
        let bars = || self.rows.iter().flat_map(|row| &row.bars);
        let most = bars().map(|bar| bar.spread.max).fold(f64::MIN_POSITIVE, f64::max);
        let mut body = String::new();
        let mut y = TOP;
        for row in &self.rows {
            for (index, bar) in row.bars.iter().enumerate() {
                if index == 0 {
                    let middle = y + BAR * row.bars.len() as f64 / 2.0 + 4.0;
                    text(&mut body, (LEFT - 8.0, middle), "text-anchor=\"end\"", &row.label);
                }
                draw(&mut body, bar, y, LONGEST / most);
                y += BAR;
            }
            y += GAP;
        }
        let mut svg = String::new();
        let _ = write!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" \
             height=\"{y}\" role=\"img\" aria-label=\"{}\">\n{STYLE}",
            escaped(&self.title)
        );
        text(&mut svg, (12.0, 22.0), "class=\"title\"", &self.title);
        self.legend(&mut svg);
        svg + &body + "</svg>\n"
    }

    fn legend(&self, svg: &mut String) {
        let mut seen: Vec<TargetName> = Vec::new();
        for bar in self.rows.iter().flat_map(|row| &row.bars) {
            if !seen.contains(&bar.target) {
                let x = LEFT + 90.0 * seen.len() as f64;
                let name = bar.target.as_str();
                let _ = writeln!(
                    svg,
                    "<rect class=\"{name}\" x=\"{x}\" y=\"36\" width=\"12\" height=\"12\"/>"
                );
                text(svg, (x + 18.0, 46.0), "", name);
                seen.push(bar.target);
            }
        }
    }
}

/// A bar up to the median, a line over the spread, and the figure.
fn draw(svg: &mut String, bar: &Bar, y: f64, scale: f64) {
    let Spread { median, min, max, count } = bar.spread;
    let (width, height) = ((median * scale).max(1.0), BAR - 3.0);
    let class = bar.target.as_str();
    let _ = writeln!(
        svg,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" \
         rx=\"2\"/>"
    );
    if count > 1 {
        let (from, to, middle) = (LEFT + min * scale, LEFT + max * scale, y + height / 2.0);
        let _ = writeln!(
            svg,
            "<line class=\"spread\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>"
        );
    }
    let end = LEFT + (max * scale).max(width) + 8.0;
    text(svg, (end, y + height - 2.0), "", &number(median));
}

fn text(svg: &mut String, (x, y): (f64, f64), attributes: &str, words: &str) {
    let space = if attributes.is_empty() { "" } else { " " };
    let words = escaped(words);
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\"{space}{attributes}>{words}</text>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
