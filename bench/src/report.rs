//! The figures of one run, as a table for people and as JSON.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Serialize;

use crate::media::Media;
use crate::process::Machine;
use crate::{air, call, codecs, compose, cost, floor, hls, janus, kills, origin};

#[derive(Serialize)]
pub struct Report {
    command: String,
    commit: String,
    machine: Machine,
    janus: Option<String>,
    media: String,
    floor: Vec<floor::Floor>,
    calls: Vec<call::Figures>,
    hls: Option<hls::Figures>,
    composed: Vec<compose::Figures>,
    decoded: Vec<codecs::Decoded>,
    sound: Option<codecs::Sound>,
    on_air: Option<air::Figures>,
    origin: Option<origin::Figures>,
    cost: Option<cost::Figures>,
    kills: Option<kills::Figures>,
    failures: Vec<String>,
}

impl Report {
    pub async fn new() -> Self {
        let commit = tokio::process::Command::new("git")
            .args(["rev-parse", "--short", "HEAD"])
            .output()
            .await;
        let commit = commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        let arguments = std::env::args().skip(1).collect::<Vec<_>>().join(" ");
        Self {
            command: format!("cargo run --release -p bench -- {arguments}")
                .trim_end()
                .trim_end_matches(" --")
                .into(),
            commit: commit.unwrap_or_default(),
            machine: Machine::read(),
            janus: if janus::is_installed() {
                janus::version().await
            } else {
                None
            },
            media: String::new(),
            floor: Vec::new(),
            calls: Vec::new(),
            hls: None,
            composed: Vec::new(),
            decoded: Vec::new(),
            sound: None,
            on_air: None,
            origin: None,
            cost: None,
            kills: None,
            failures: Vec::new(),
        }
    }

    pub fn note_media(&mut self, media: &Media) {
        let kbps = media.video_bitrate() / 1_000;
        self.media = format!(
            "H.264 1280x720 30/s {kbps} kbit/s, key frame every 2 s; Opus 32 kbit/s, 20 ms; paced"
        );
    }

    pub fn floor(&mut self, figures: floor::Floor) {
        self.floor.push(figures);
    }

    pub fn call(&mut self, figures: anyhow::Result<call::Figures>) {
        match figures {
            Ok(figures) => self.calls.push(figures),
            Err(error) => self.fail(&error),
        }
    }

    pub fn hls(&mut self, figures: anyhow::Result<hls::Figures>) {
        match figures {
            Ok(figures) => self.hls = Some(figures),
            Err(error) => self.fail(&error),
        }
    }

    pub fn composed(&mut self, figures: anyhow::Result<Vec<compose::Figures>>) {
        match figures {
            Ok(figures) => self.composed = figures,
            Err(error) => self.fail(&error),
        }
    }

    pub fn decoded(&mut self, figures: anyhow::Result<Vec<codecs::Decoded>>) {
        match figures {
            Ok(figures) => self.decoded = figures,
            Err(error) => self.fail(&error),
        }
    }

    pub fn sound(&mut self, figures: anyhow::Result<codecs::Sound>) {
        match figures {
            Ok(figures) => self.sound = Some(figures),
            Err(error) => self.fail(&error),
        }
    }

    pub fn on_air(&mut self, figures: anyhow::Result<air::Figures>) {
        match figures {
            Ok(figures) => self.on_air = Some(figures),
            Err(error) => self.fail(&error),
        }
    }

    pub fn origin(&mut self, figures: anyhow::Result<origin::Figures>) {
        match figures {
            Ok(figures) => self.origin = Some(figures),
            Err(error) => self.fail(&error),
        }
    }

    pub fn cost(&mut self, figures: anyhow::Result<cost::Figures>) {
        match figures {
            Ok(figures) => self.cost = Some(figures),
            Err(error) => self.fail(&error),
        }
    }

    pub fn kills(&mut self, figures: anyhow::Result<kills::Figures>) {
        match figures {
            Ok(figures) => self.kills = Some(figures),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &anyhow::Error) {
        let text = format!("{error:#}");
        eprintln!("failed: {text}");
        self.failures.push(text);
    }

    pub fn print(&self) {
        let machine = &self.machine;
        println!(
            "{} · {} cores · Linux {}",
            machine.processor, machine.cores, machine.kernel
        );
        println!(
            "load before {} · commit {}",
            machine.load_before, self.commit
        );
        println!("{}", self.media);
        if let Some(janus) = &self.janus {
            println!("{janus}");
        }
        self.print_calls();
        self.print_composed();
        self.print_codecs();
        self.print_on_air();
        self.print_origin();
        self.print_cost();
        self.print_kills();
        self.print_hls();
    }

    fn print_calls(&self) {
        if self.floor.is_empty() && self.calls.is_empty() {
            return;
        }
        println!();
        println!(
            "| system | shape | packets out/s | CPU µs/packet | delay p50 ms | p99 ms | kB/viewer | lost % | clients busy % |"
        );
        println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
        for floor in &self.floor {
            println!(
                "| floor | to {} | | {:.1} | | | | | |",
                floor.destinations, floor.us_per_packet
            );
        }
        for row in &self.calls {
            let memory = row
                .memory_kb_per_viewer
                .map_or(String::new(), |kb| format!("{kb:.0}"));
            println!(
                "| {} | {} | {:.0} | {:.1} | {:.2} | {:.2} | {memory} | {:.3} | {:.0} |{}",
                row.system,
                row.shape,
                row.packets_out_per_s,
                row.us_per_packet_out,
                row.delay_ms_p50,
                row.delay_ms_p99,
                row.lost_percent,
                row.client_busy_percent,
                row.invalid
                    .as_ref()
                    .map_or(String::new(), |why| format!(" invalid: {why}")),
            );
        }
    }

    fn print_hls(&self) {
        if let Some(hls) = &self.hls {
            println!();
            println!("| LL-HLS | |");
            println!("|---|--:|");
            println!(
                "| first packet → first playable part | {:.2} s ({}) |",
                hls.first_part_s, hls.first_part
            );
            println!(
                "| age of the newest picture when its part is there (part {:.2} s, {} parts) | p50 {:.3} s, p99 {:.3} s |",
                hls.part_target_s, hls.parts, hls.age_s_p50, hls.age_s_p99
            );
            println!(
                "| a player of whole segments: first request → first segment, {} players | p50 {:.3} s, most {:.3} s |",
                hls.plain_players, hls.plain_begins_s_p50, hls.plain_begins_s_most
            );
            println!(
                "| CPU per viewer-minute ({} viewers, {} requests, {:.0} kB/s each) | {:.3} CPU-s |",
                hls.viewers,
                hls.requests,
                hls.bytes_per_viewer_s / 1_000.0,
                hls.cpu_s_per_viewer_minute
            );
            println!(
                "| server without viewers | {:.1} % of a core |",
                hls.server_cpu_percent_without_viewers
            );
            println!("| clients busy | {:.0} % |", hls.client_busy_percent);
            if let Some(why) = &hls.invalid {
                println!("| invalid | {why} |");
            }
        }
    }

    fn print_composed(&self) {
        if self.composed.is_empty() {
            return;
        }
        println!();
        println!(
            "| composed, share of a core: median (least–most) | amphi | decoders alone | encoders alone | amphi ÷ both | both in turn | amphi ÷ in turn | amphi, encoded by ffmpeg's x264 | ffmpeg xstack, x264 | GStreamer, openh264 | pictures | kbit/s |"
        );
        println!("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
        for row in &self.composed {
            println!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.0} |",
                row.shape,
                spread(&row.composed),
                spread(&row.decoders_alone),
                spread(&row.encoders_alone),
                spread(&row.to_alone()),
                spread(&row.codecs_in_turn),
                spread(&row.to_in_turn()),
                spread(&row.composed_for_x264),
                spread(&row.ffmpeg),
                spread(&row.gstreamer),
                row.pictures,
                row.kbit_s,
            );
        }
    }

    fn print_codecs(&self) {
        if !self.decoded.is_empty() {
            println!();
            println!("| decoded, 360p by ffmpeg's encoders | kbit/s | pictures per core-second |");
            println!("|---|--:|--:|");
        }
        for row in &self.decoded {
            let (codec, encoder) = (row.codec, row.encoder);
            println!(
                "| {codec} ({encoder}) | {:.0} | {} |",
                row.kbit_s,
                spread_to(0, &row.pictures_per_core_s)
            );
        }
        let Some(row) = &self.sound else { return };
        println!();
        println!(
            "| {} voices of Opus decoded, levelled, mixed, and encoded | share of a core |",
            row.voices
        );
        println!("|---|--:|");
        println!("| to AAC | {} |", spread_to(4, &row.aac));
        println!("| to AAC and Opus | {} |", spread_to(4, &row.aac_and_opus));
    }

    fn print_on_air(&self) {
        let Some(row) = &self.on_air else { return };
        println!();
        println!("| 4 members of 360p with sound | share of a core: median (least–most) |");
        println!("|---|--:|");
        for (what, shares) in [
            ("the call, off air", &row.call),
            ("on air, cut: beyond the call", &row.cut),
            (
                "on air, cut, where one sends and three receive: beyond the call",
                &row.cut_of_one,
            ),
            ("on air, composed to 720p30: beyond the call", &row.one_size),
            (
                "on air, composed to 720p30 and 3 rungs: beyond the call",
                &row.ladder,
            ),
            ("of it the worker", &row.ladder_worker),
        ] {
            println!("| {what} | {} |", spread(shares));
        }
        println!("| clients busy | {:.0} % |", row.client_busy_percent);
    }

    fn print_origin(&self) {
        let Some(row) = &self.origin else { return };
        println!();
        println!(
            "| LL-HLS over TLS, {} viewers, {:.0} kbit/s and {:.1} requests a second each | |",
            row.viewers,
            row.kbit_per_viewer_s,
            row.requests_per_s / row.viewers as f64
        );
        println!("|---|--:|");
        println!("| amphi, share of a core | {} |", spread(&row.amphi));
        println!("| viewers per core | {:.0} |", row.viewers_per_core);
        let nginx = row.nginx_version.as_deref().unwrap_or("nginx");
        println!(
            "| {nginx}, files of the same sizes as often | {} |",
            spread(&row.nginx)
        );
        if !row.nginx.is_empty() {
            println!("| viewers per core | {:.0} |", row.nginx_viewers_per_core);
        }
        println!(
            "| {} wait for a part ({} parts): from the first answer to the others | p50 {:.0} ms, p99 {:.0} ms, most {:.0} ms |",
            row.waiting,
            row.parts_waited_for,
            row.answered_ms_p50,
            row.answered_ms_p99,
            row.answered_ms_most
        );
        println!(
            "| CPU for each of these answers | server {:.0} µs, who asks {:.0} µs |",
            row.answer_server_us, row.answer_crowd_us
        );
        println!(
            "| the crowd's thread busy | {:.0} % |",
            row.crowd_busy_percent
        );
        if let Some(why) = &row.invalid {
            println!("| invalid | {why} |");
        }
    }

    fn print_cost(&self) {
        let Some(row) = &self.cost else { return };
        println!();
        println!(
            "| an hour: {} on stage, composed, {} viewers over TLS (by {:.0} s) | core-hours |",
            row.members, row.viewers, row.seconds
        );
        println!("|---|--:|");
        println!("| all of it | {:.2} |", row.server + row.worker);
        println!("| of it the composer's process | {:.2} |", row.worker);
        println!(
            "| each viewer gets | {:.0} kbit/s, {:.1} answers a second |",
            row.kbit_per_viewer_s,
            row.requests_per_s / row.viewers as f64
        );
        println!(
            "| busy | members {:.0} %, the crowd's thread {:.0} % |",
            row.members_busy_percent, row.crowd_busy_percent
        );
        if let Some(why) = &row.invalid {
            println!("| invalid | {why} |");
        }
    }

    fn print_kills(&self) {
        let Some(row) = &self.kills else { return };
        println!();
        println!(
            "| {} kills, {} recordings in {} rooms (one composed), seed {} | p50 | p99 | most |",
            row.times, row.recordings, row.rooms, row.seed
        );
        println!("|---|--:|--:|--:|");
        for (what, lost) in [
            ("picture missing before the kill, ms", &row.picture_ms),
            ("sound missing before the kill, ms", &row.sound_ms),
            ("a member's own track, ms", &row.track_ms),
            ("from the start to ready, ms", &row.restart_ms),
        ] {
            println!(
                "| {what} | {:.0} | {:.0} | {:.0} |",
                lost.p50, lost.p99, lost.most
            );
        }
        println!(
            "| of all these, more than {} ms | {} | | |",
            kills::PROMISED.as_millis(),
            row.beyond
        );
        println!(
            "| files that do not play, of {} | {} | | |",
            row.files, row.not_playing
        );
        println!(
            "| recordings ready after the restart | {} | | |",
            row.recovered
        );
        for bad in &row.bad {
            println!("| {bad} | | | |");
        }
    }

    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("making {}", folder.display()))?;
        }
        let text = serde_json::to_string_pretty(self).context("writing JSON")?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        println!("\n{}", path.display());
        Ok(())
    }

    /// Fails when something could not be measured, or does not count.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let invalid = self.calls.iter().filter_map(|row| {
            row.invalid
                .as_ref()
                .map(|why| format!("{} {}: {why}", row.system, row.shape))
        });
        let invalid = invalid.chain(self.hls.iter().filter_map(|hls| hls.invalid.clone()));
        let invalid = invalid.chain(self.origin.iter().filter_map(|row| row.invalid.clone()));
        let invalid = invalid.chain(self.cost.iter().filter_map(|row| row.invalid.clone()));
        let invalid = invalid.chain(self.kills.iter().flat_map(|row| row.bad.iter().cloned()));
        let problems: Vec<String> = self.failures.iter().cloned().chain(invalid).collect();
        if problems.is_empty() {
            return Ok(());
        }
        bail!("{}", problems.join("; "))
    }
}

/// Median, least and most of some rounds.
fn spread(rounds: &[f64]) -> String {
    spread_to(3, rounds)
}

fn spread_to(digits: usize, rounds: &[f64]) -> String {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.last()) {
        (Some(least), Some(most)) => {
            let middle = sorted[sorted.len() / 2];
            format!("{middle:.digits$} ({least:.digits$}–{most:.digits$})")
        }
        _ => "not installed".to_owned(),
    }
}
