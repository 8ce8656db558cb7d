//! What a scenario says about itself in its first lines.
use std::time::Duration;

/// What a scenario says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// What it shows.
    pub title: String,
    /// How many nodes it needs.
    pub nodes: u32,
    /// Into how many Regions the key space is cut at first.
    pub regions: u32,
    /// It fails if it takes longer; the start of the cluster does not count.
    pub timeout: Duration,
}

impl Header {
    /// Reads the comment lines that open a script.
    ///
    /// # Errors
    /// A sentence for people, if a line is missing or wrong.
    pub fn parse(script: &str) -> Result<Self, String> {
        let opening: Vec<&str> = script.lines().take_while(|line| line.starts_with('#')).collect();
        let field = |name: &str| {
            let found = opening.iter().find_map(|line| line.strip_prefix(&format!("# {name}: ")));
            found.map(str::trim).ok_or_else(|| format!("the line `# {name}: …` is missing"))
        };
        let count = |name: &str| {
            let text = field(name)?;
            let number = text.parse::<u32>().ok().filter(|number| *number > 0);
            number.ok_or_else(|| format!("`# {name}: {text}` is not a number above zero"))
        };
        Ok(Self {
            title: field("title")?.to_owned(),
            nodes: count("nodes")?,
            regions: count("regions")?,
            timeout: troupe_config::units::duration::from_text(field("timeout")?)?,
        })
    }
}
