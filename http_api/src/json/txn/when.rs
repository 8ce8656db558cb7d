//! Moments as requests name them: a timestamp (`455930112233472001`), RFC 3339
//! (`2026-11-25T04:43:32Z`), or so long ago (`-5s`).
use super::numbers::digits;
use crate::error::Problem;
use std::time::Duration;
use troupe_config::units::duration;
use troupe_types::{Timestamp, UnixMillis};

/// Timestamps beyond this are none of the oracle.
const LARGEST: u64 = i64::MAX as u64;
const MS_PER_DAY: i64 = 24 * 3600 * 1000;

/// A moment that may be relative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// A timestamp of the oracle.
    At(Timestamp),
    /// Wall clock.
    Wall(UnixMillis),
    /// So long before now.
    Ago(Duration),
}

impl When {
    /// Reads `text`, the value of the parameter or field `name`.
    ///
    /// # Errors
    /// `BAD_PARAMETER`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Problem> {
        read(text).ok_or_else(|| {
            let detail = format!(
                "`{name}` is a timestamp, an RFC 3339 time such as 2026-11-25T04:43:32Z, or \
                 so long ago such as -5s; not `{text}`"
            );
            Problem::bad_parameter(name, detail)
        })
    }
}

fn read(text: &str) -> Option<When> {
    if let Some(ago) = text.strip_prefix('-') {
        return duration::from_text(ago).ok().map(When::Ago);
    }
    if let Some(number) = digits(text) {
        return (1..=LARGEST).contains(&number).then_some(When::At(Timestamp(number)));
    }
    rfc3339(text).map(When::Wall)
}

/// Milliseconds since 1970 of an RFC 3339 time; finer fractions are cut off.
fn rfc3339(text: &str) -> Option<UnixMillis> {
    let (date, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (clock, rest) = rest.split_at_checked(8)?;
    let (fraction_ms, zone) = fraction(rest)?;
    let days = days(fixed(date, [4, 2, 2], '-')?)?;
    let [hour, minute, second] = fixed(clock, [2, 2, 2], ':')?;
    // A leap second is taken for the one behind it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let of_day = ((hour * 60 + minute) * 60 + second) * 1000 + fraction_ms;
    let ms = days * MS_PER_DAY + of_day - offset_ms(zone)?;
    u64::try_from(ms).ok().map(UnixMillis)
}

/// Three numbers of exactly so many digits, with `between` between them.
fn fixed(text: &str, lengths: [usize; 3], between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, length) in numbers.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *number = i64::try_from(digits(part)?).ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Milliseconds of `.5` and the like, and what stands behind.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (shown, zone) = rest.split_at(length);
    if shown.is_empty() {
        return None;
    }
    let ms: String = shown.chars().chain("00".chars()).take(3).collect();
    Some((i64::try_from(digits(&ms)?).ok()?, zone))
}

fn offset_ms(zone: &str) -> Option<i64> {
    let sign = match zone.bytes().next()? {
        b'Z' | b'z' if zone.len() == 1 => return Some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    let within = hours <= 23 && minutes <= 59;
    within.then(|| i64::try_from(hours * 60 + minutes).ok()).flatten().map(|m| sign * m * 60_000)
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, counted in eras of 400 years that begin
/// in March, so that the leap day is the last of its year.
fn days([year, month, day]: [i64; 3]) -> Option<i64> {
    const OF_MONTH: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let index = usize::try_from(month - 1).ok()?;
    let length = OF_MONTH.get(index)? + i64::from(leap && month == 2);
    if !(1..=length).contains(&day) {
        return None;
    }
    let from_march = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (from_march.div_euclid(400), from_march.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests;
