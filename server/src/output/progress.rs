//! Progress of long work: a bar on a terminal, otherwise a line every five seconds. On stderr.
use crate::clock::now;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(5);

/// Progress of one piece of work.
pub struct Progress {
    what: String,
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    /// Begins; `what` is a verb such as `importing`.
    #[must_use]
    pub fn new(what: &str) -> Self {
        let started = now();
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{spinner} {prefix} {msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar.set_prefix(what.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self { what: what.to_owned(), bar, started, last_line: started }
    }

    /// So much was done by now.
    pub fn update(&mut self, rows: u64, bytes: u64) {
        let message = summary(rows, bytes, self.started.elapsed());
        match &self.bar {
            Some(bar) => bar.set_message(message),
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = now();
                eprintln!("{} {message}", self.what);
            }
            None => {}
        }
    }

    /// Ends with a last line that says how much it was.
    pub fn finish(self, rows: u64, bytes: u64, more: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{}: {}{more}", self.what, summary(rows, bytes, self.started.elapsed()));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

pub(super) fn summary(rows: u64, bytes: u64, elapsed: Duration) -> String {
    let rate = rows.saturating_mul(1000).checked_div(elapsed.as_millis().max(1) as u64);
    let mib = bytes >> 20;
    let seconds = elapsed.as_secs_f64();
    format!("{rows} rows, {mib} MiB in {seconds:.1} s ({} rows/s)", rate.unwrap_or_default())
}
