//! What is held against what: the rules that need more than one playlist, or the answer's headers.

use std::time::Instant;

use super::{Asked, Claim, Player, What};
use crate::captions::is_text;
use crate::media::DATE_TOLERANCE_US;
use crate::playlist::{Media, Segment};
use crate::shown;
use crate::uri::{plain, resolve};
use crate::{Answer, Mode, Rule};

/// Playlists below this size need not be packed: they fit into one packet as they are.
const PACKED_MIN: usize = 1_400;
/// A media segment's date must be known to this far from its borders to say what is shown together with it.
const TOGETHER_US: i64 = 400_000;

impl Player {
    pub(super) fn look(&mut self, of: usize) {
        let zero_us = self.renditions.iter().find_map(|one| one.track.zero_us);
        let rendition = &mut self.renditions[of];
        let base = rendition.url.clone();
        let independent =
            (rendition.newest.as_ref()).is_some_and(|newest| newest.independent_segments);
        let by_parts = self.config.mode == Mode::LowLatency;
        let found =
            rendition
                .track
                .advance(&rendition.segments, independent, by_parts, zero_us, |uri| {
                    resolve(&base, uri)
                });
        let name = rendition.name().to_owned();
        for violation in found {
            self.say(violation.rule, format!("{name}: {}", violation.what));
        }
        let zeros: Vec<i64> = self
            .renditions
            .iter()
            .filter_map(|one| one.track.zero_us)
            .collect();
        if let (false, Some(least), Some(most)) =
            (self.agreed.dates, zeros.iter().min(), zeros.iter().max())
            && zeros.len() + self.texts == self.renditions.len()
        {
            self.agreed.dates = true;
            let apart_us = least.abs_diff(*most);
            if apart_us > DATE_TOLERANCE_US {
                let what = format!("they are {} ms apart", apart_us / 1_000);
                self.say(Rule::DatesAgree, what);
            }
        }
    }

    /// What the newest version says of the other playlists.
    pub(super) fn judge_reports(&mut self, now: Instant, of: usize, media: &Media, asked: &Asked) {
        let name = self.renditions[of].name().to_owned();
        // What others said of this one must be there by now.
        let newest = media.newest_part();
        let claims = std::mem::take(&mut self.claims);
        for claim in claims {
            if claim.of != of || asked.at <= claim.at {
                self.claims.push(claim);
            } else if newest < Some(claim.newest) && !media.ended {
                let what = format!(
                    "{} said that {name} has {:?}, and then it had {newest:?}",
                    claim.by, claim.newest
                );
                self.say(Rule::RenditionReport, what);
            }
        }
        if newest.is_none() || media.ended {
            return;
        }
        let newer = newest > self.renditions[of].newest_part();
        for other_of in (0..self.renditions.len()).filter(|other| *other != of) {
            let other = &self.renditions[other_of];
            let other_url = plain(&other.url).to_owned();
            let before = (self.renditions[of].others_then.get(other_of))
                .copied()
                .flatten();
            let reported = media
                .reports
                .iter()
                .find(|report| plain(&self.renditions[of].resolve(&report.uri)) == other_url);
            let Some(report) = reported else {
                // Before the other one has anything there is nothing to report.
                if other.newest_part().is_some() && self.config.mode == Mode::LowLatency {
                    let known = self.renditions[of].versions > 0;
                    if known && before.is_some() {
                        self.say(
                            Rule::ReportMissing,
                            format!("{name} has none of {other_url}"),
                        );
                    }
                }
                continue;
            };
            let claimed = (report.number, report.part.unwrap_or(0));
            if newer && before.is_some_and(|before| claimed < before) {
                let what =
                    format!("{name} reports {claimed:?} when {before:?} was there long since");
                self.say(Rule::RenditionReport, what);
            }
            self.claims.push(Claim {
                of: other_of,
                newest: claimed,
                at: now,
                by: name.clone(),
            });
        }
    }

    /// Each playlist beside the first one.
    pub(super) fn judge_together(&mut self) {
        let mut found = Vec::new();
        for beside in 1..self.renditions.len() {
            self.judge_beside(beside, &mut found);
        }
        for (rule, what) in found {
            self.say(rule, what);
        }
    }

    fn judge_beside(&mut self, beside: usize, found: &mut Vec<(Rule, String)>) {
        let (main, other) = (&self.renditions[0], &self.renditions[beside]);
        let (Some(one), Some(two)) = (&main.newest, &other.newest) else {
            return;
        };
        let control = |media: &Media| media.control.as_ref().map(|control| control.text.clone());
        if !self.agreed.control
            && (one.target_duration != two.target_duration || control(one) != control(two))
        {
            self.agreed.control = true;
            found.push((
                Rule::PlaylistsAgree,
                format!(
                    "{} s {:?} and {} s {:?}",
                    one.target_duration,
                    control(one),
                    two.target_duration,
                    control(two)
                ),
            ));
        }
        let is_text = beside + self.texts >= self.renditions.len();
        let is_variant = !is_text && !self.sounds.contains(&beside);
        for (number, known) in &main.segments {
            let segment = &known.listed;
            let (Some(date_us), Some(duration)) = (segment.date_us, segment.duration) else {
                continue;
            };
            if self.together.contains(&(beside, *number)) {
                continue;
            }
            // Variants have their segments under the same numbers.
            let twin = other.segments.get(number).map(|known| &known.listed);
            if let (true, Some(twin)) = (is_variant, twin)
                && let Some(other_duration) = twin.duration
            {
                self.together.insert((beside, *number));
                let apart_us = twin.date_us.map_or(u64::MAX, |date| date.abs_diff(date_us));
                let parts = |segment: &Segment| segment.parts.len();
                let parts_differ =
                    parts(segment) != parts(twin) && parts(twin) > 0 && parts(segment) > 0;
                if apart_us > 1_000 || (duration - other_duration).abs() > 0.001 || parts_differ {
                    found.push((
                        Rule::VariantsAligned,
                        format!(
                            "segment {number} of {} is not of the time of that of {}",
                            other.name(),
                            main.name()
                        ),
                    ));
                }
                if twin.discontinuity != segment.discontinuity {
                    found.push((
                        Rule::DiscontinuitiesAgree,
                        format!(
                            "segment {number} is in {} and that of {} in {}",
                            segment.discontinuity,
                            other.name(),
                            twin.discontinuity
                        ),
                    ));
                }
            }
            if is_variant || duration < 1.0 {
                continue;
            }
            let middle = date_us + (duration * 5e5) as i64;
            let sound = other.segments.values().find(|other| {
                other.listed.date_us.is_some_and(|from| {
                    let to = from + (other.listed.listed() * 1e6) as i64;
                    from + TOGETHER_US / 2 <= middle && middle <= to - TOGETHER_US / 2
                })
            });
            let Some(sound) = sound else { continue };
            self.together.insert((beside, *number));
            if sound.discontinuity != known.discontinuity {
                found.push((
                    Rule::DiscontinuitiesAgree,
                    format!(
                        "segment {number} is in {} and segment {} of the sound in {}",
                        known.discontinuity, sound.listed.number, sound.discontinuity
                    ),
                ));
            }
        }
    }

    pub(super) fn judge_index(&mut self) {
        if !self.renditions.iter().all(shown::all_read) {
            return;
        }
        let Some(index) = self.index.as_mut().filter(|index| !index.judged) else {
            return;
        };
        index.judged = true;
        for violation in shown::judge(&index.read, &index.seen, &self.renditions, &self.sounds) {
            self.say(violation.rule, violation.what);
        }
    }

    pub(super) fn judge_headers(&mut self, asked: &Asked, answer: &Answer) {
        let name = plain(&asked.url).to_owned();
        let media = matches!(
            asked.what,
            What::Init { .. } | What::Part { .. } | What::Segment { .. } | What::Again { .. }
        );
        let mut found = Vec::new();
        let content = answer
            .header("content-type")
            .split(';')
            .next()
            .unwrap_or("");
        let content_fits = match media {
            true if is_text(&name) => content == "text/vtt",
            true => ["video/mp4", "audio/mp4"].contains(&content),
            false => ["application/vnd.apple.mpegurl", "audio/mpegurl"]
                .iter()
                .any(|known| content.eq_ignore_ascii_case(known)),
        };
        if !content_fits {
            found.push((Rule::ContentType, format!("{name} is {content:?}")));
        }
        if answer.header("access-control-allow-origin").is_empty() {
            found.push((
                Rule::Cors,
                format!("{name} has no access-control-allow-origin"),
            ));
        }
        let packed = answer.header("content-encoding") == "gzip";
        let large = answer.body.len() >= PACKED_MIN && !media;
        if packed && !asked.gzip || !packed && asked.gzip && large {
            let what = format!("{name}: asked for {}, got {packed}", asked.gzip);
            found.push((Rule::Gzip, what));
        }
        let cache = answer.header("cache-control");
        let age = max_age(cache);
        let newest = self.renditions.first().and_then(|one| one.newest.as_ref());
        let target = newest.map_or(0, |newest| newest.target_duration);
        match asked.what {
            What::Index | What::Playlist { at: None, .. } => {
                let part = newest
                    .and_then(|newest| newest.part_target)
                    .unwrap_or(target as f64);
                let never = cache.contains("no-store") || cache.contains("no-cache");
                if !never && age.is_none_or(|age| age as f64 > part) {
                    found.push((Rule::PlaylistCache, format!("{name}: {cache:?}")));
                }
            }
            _ if media => {
                let kept = age.is_some_and(|age| age >= 3 * target);
                if !kept || cache.contains("no-store") || cache.contains("no-cache") {
                    found.push((Rule::MediaCache, format!("{name}: {cache:?}")));
                }
            }
            _ => {}
        }
        for (rule, what) in found {
            self.say(rule, what);
        }
    }
}

fn max_age(cache: &str) -> Option<u64> {
    let age = cache
        .split(',')
        .map(str::trim)
        .find_map(|one| one.strip_prefix("max-age="))?;
    age.parse().ok()
}
