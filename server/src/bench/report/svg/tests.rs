//! Pictures are to scale and well formed.
use super::*;

fn bar(target: TargetName, median: f64) -> Bar {
    let spread = Spread { median, min: median * 0.9, max: median * 1.25, count: 3 };
    Bar { target, spread }
}

fn chart() -> Chart {
    let bars = vec![bar(TargetName::Troupe, 4000.0), bar(TargetName::Etcd, 1000.0)];
    let rows = vec![Row { label: "put <1 client>".to_owned(), bars }];
    Chart { title: "A & B".to_owned(), rows }
}

/// Values of an attribute of the elements that begin with `element`.
fn attributes(svg: &str, element: &str, name: &str) -> Vec<f64> {
    let lines = svg.lines().filter(|line| line.starts_with(element));
    let value = |line: &str| {
        let (_, rest) = line.split_once(&format!(" {name}=\""))?;
        rest.split_once('"')?.0.parse().ok()
    };
    lines.filter_map(value).collect()
}

#[test]
fn bars_are_as_long_as_their_figures_and_stay_inside() {
    let svg = chart().svg();
    let widths = attributes(&svg, "<rect class=\"troupe\" x=\"180\" y=\"64\"", "width");
    let others = attributes(&svg, "<rect class=\"etcd\" x=\"180\" y=\"80\"", "width");
    assert!((widths[0] / others[0] - 4.0).abs() < 0.01, "{svg}");
    let ends = attributes(&svg, "<line", "x2");
    assert!(ends.iter().all(|&end| end <= LEFT + LONGEST + 0.1), "{svg}");
}

#[test]
fn words_are_escaped_and_every_element_ends() {
    let svg = chart().svg();
    assert!(svg.contains("A &amp; B</text>") && svg.contains("put &lt;1 client>"), "{svg}");
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    assert!(svg.contains("prefers-color-scheme: dark"));
}
