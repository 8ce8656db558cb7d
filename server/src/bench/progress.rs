//! How far a run is: a bar on a terminal, otherwise a line for each measurement. On stderr.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// Measurements of a run, as they are made.
pub struct Steps {
    bar: Option<ProgressBar>,
    count: usize,
    done: usize,
}

impl Steps {
    /// None of `count` is done.
    #[must_use]
    pub fn new(count: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let length = Some(count as u64);
            let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::stderr());
            let style = "{spinner} {elapsed_precise} {bar:24} {pos}/{len}, {eta} left: {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, count, done: 0 }
    }

    /// This is done now.
    pub fn say(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// A measurement is done, with this figure.
    pub fn done(&mut self, what: &str) {
        self.done += 1;
        match &self.bar {
            Some(bar) => {
                bar.inc(1);
                bar.println(what);
            }
            None => eprintln!("[{}/{}] {what}", self.done, self.count),
        }
    }

    /// All are done.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
