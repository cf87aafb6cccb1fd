//! Numbers for Prometheus, as text.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

use crate::http::App;

/// Answers by route and status. Both are few: routes are patterns, not addresses.
#[derive(Default)]
pub struct Requests(Mutex<BTreeMap<(String, u16), u64>>);

impl Requests {
    pub fn count(&self, route: &str, status: StatusCode) {
        let mut counts = self.0.lock().expect("nobody panics while holding it");
        match counts
            .iter_mut()
            .find(|((known, of), _)| known == route && *of == status.as_u16())
        {
            Some((_, count)) => *count += 1,
            None => {
                counts.insert((route.to_owned(), status.as_u16()), 1);
            }
        }
    }
}

/// The whole page.
pub fn page(app: &App) -> String {
    let mut page = Page(String::with_capacity(16 * 1024));
    page.gauge(
        "amphi_build_info",
        "Always 1.",
        &[("version", env!("CARGO_PKG_VERSION"))],
        1,
    );
    shards(&mut page, app);
    programs(&mut page, app);
    origin(&mut page, app);
    http(&mut page, app);
    reports(&mut page, app);
    process(&mut page, app);
    page.0
}

fn shards(page: &mut Page, app: &App) {
    let stats = app.house.stats();
    let mut sum = amphi_shard::Counters::default();
    for shard in &stats.shards {
        sum.rooms += shard.shard.rooms;
        sum.members += shard.shard.members;
        sum.tracks += shard.shard.tracks;
        sum.sessions += shard.shard.sessions;
        sum.door.add(&shard.shard.door);
        sum.room.add(&shard.shard.room);
        sum.signal.add(&shard.shard.signal);
        sum.sfu.add(&shard.shard.sfu);
    }
    page.gauge("amphi_rooms", "Rooms that are open.", &[], sum.rooms);
    page.gauge(
        "amphi_members",
        "Members in all rooms, hidden ones too.",
        &[],
        sum.members,
    );
    page.gauge("amphi_tracks", "Published tracks.", &[], sum.tracks);
    page.gauge("amphi_sessions", "WebRTC connections.", &[], sum.sessions);

    page.counter(
        "amphi_packets_in_total",
        "RTP packets taken from publishers.",
        &[],
        sum.sfu.packets_in,
    );
    page.counter(
        "amphi_packets_out_total",
        "RTP packets sent to subscribers.",
        &[],
        sum.sfu.packets_out,
    );
    page.family(
        "amphi_packets_dropped_total",
        "counter",
        "Packets that went no further, by reason.",
    );
    let all = [
        ("door", sum.door.list().collect::<Vec<_>>()),
        ("sfu", sum.sfu.list().collect()),
        ("room", sum.room.list().collect()),
        ("signal", sum.signal.list().collect()),
    ];
    for (part, counters) in &all {
        for (name, value) in counters {
            if let Some(reason) = name.strip_prefix("dropped_") {
                page.sample(
                    "amphi_packets_dropped_total",
                    &[("part", part), ("reason", reason)],
                    value,
                );
            }
        }
    }
    page.family(
        "amphi_key_frame_requests_total",
        "counter",
        "Key-frame requests: asked by subscribers, merged into one, sent to publishers.",
    );
    for (name, value) in sum.sfu.list() {
        if let Some(what) = name.strip_prefix("key_frames_") {
            page.sample("amphi_key_frame_requests_total", &[("what", what)], value);
        }
    }
    page.family(
        "amphi_events_total",
        "counter",
        "Everything else that rooms, sessions and clients did, by part and event.",
    );
    for (part, counters) in &all {
        for (name, value) in counters {
            let elsewhere = name.starts_with("dropped_")
                || *part == "sfu"
                    && (name.starts_with("key_frames_")
                        || matches!(*name, "packets_in" | "packets_out"));
            if !elsewhere {
                page.sample(
                    "amphi_events_total",
                    &[("part", part), ("event", name)],
                    value,
                );
            }
        }
    }

    for (name, help) in [
        ("datagrams_in", "UDP datagrams read."),
        ("datagrams_out", "UDP datagrams sent."),
        ("bytes_in", "Bytes read by UDP."),
        ("bytes_out", "Bytes sent by UDP."),
        (
            "sends",
            "System calls that sent; one sends a run of datagrams.",
        ),
        (
            "dropped_full",
            "Datagrams dropped because the kernel's buffer was full.",
        ),
        ("dropped_error", "Datagrams that could not be sent."),
    ] {
        page.family(&format!("amphi_udp_{name}_total"), "counter", help);
        for (index, shard) in stats.shards.iter().enumerate() {
            let udp = &shard.udp;
            let value = match name {
                "datagrams_in" => udp.datagrams_in,
                "datagrams_out" => udp.datagrams_out,
                "bytes_in" => udp.bytes_in,
                "bytes_out" => udp.bytes_out,
                "sends" => udp.sends,
                "dropped_full" => udp.dropped_full,
                _ => udp.dropped_error,
            };
            page.sample(
                &format!("amphi_udp_{name}_total"),
                &[("shard", &index.to_string())],
                value,
            );
        }
    }
    page.counter(
        "amphi_tcp_accepted_total",
        "ICE-TCP connections taken.",
        &[],
        stats.tcp_accepted,
    );

    page.family(
        "amphi_bound_hit_total",
        "counter",
        "How often something was refused or dropped because a queue or table was full.",
    );
    let programs = app.programs.stats();
    let origin = app.origin.stats();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    for (bound, value) in [
        (
            "shard_queue",
            stats.shards.iter().map(|shard| shard.queue_refused).sum(),
        ),
        (
            "client_queue",
            stats.shards.iter().map(|shard| shard.slow_clients).sum(),
        ),
        ("socket_stall", count(&app.sockets.stalled)),
        ("socket_message", count(&app.sockets.oversize)),
        ("tcp_connections", stats.tcp_refused_full),
        ("tcp_unclaimed", stats.tcp_closed_unclaimed),
        ("tcp_queue", stats.tcp_dropped_full),
        ("programs", programs.refused),
        ("program_frames", programs.frames_dropped),
        ("program_inputs", programs.inputs_dropped),
        ("program_captions", programs.captions_dropped),
        ("composer_frames", programs.easel.frames_dropped),
        ("recorder_queue", programs.recording_outputs_missed),
        ("recorder_beside_queue", programs.recording_beside_missed),
        ("hls_blocked_requests", origin.blocked_refused),
        ("hls_broadcasts", origin.broadcasts_refused),
        ("hls_memory", origin.segments_evicted),
        ("hls_dvr_bytes", origin.segments_over),
        ("hls_dvr_queue", origin.disk.refused),
        ("hls_viewers", origin.viewers_estimated),
        ("hls_thumbnails_queue", origin.thumbnails.crowded),
        ("http_connections", count(&app.connections.waited_full)),
        ("joins_per_address", app.joins.refused()),
        ("join_addresses", app.joins.full()),
        ("joins_per_identity", app.identities.refused()),
        ("join_identities", app.identities.full()),
        ("reports_per_address", app.reports.refused()),
        ("report_addresses", app.reports.full()),
        ("reports", count(&app.reports.pushed_out)),
        ("ended_broadcasts", app.airings.forgotten()),
    ] {
        page.sample("amphi_bound_hit_total", &[("bound", bound)], value);
    }
}

fn programs(page: &mut Page, app: &App) {
    let stats = app.programs.stats();
    page.gauge("amphi_programs", "Programs that run.", &[], stats.running);
    page.counter(
        "amphi_programs_started_total",
        "Programs started.",
        &[],
        stats.started,
    );
    page.counter(
        "amphi_programs_failed_total",
        "Programs ended by an error.",
        &[],
        stats.failed,
    );
    page.counter(
        "amphi_program_frames_total",
        "Frames given to programs.",
        &[],
        stats.frames,
    );
    page.counter(
        "amphi_parts_total",
        "Parts that programs made.",
        &[],
        stats.parts,
    );
    page.counter(
        "amphi_captions_total",
        "Captions that programs took.",
        &[],
        stats.captions,
    );
    page.counter(
        "amphi_recordings_total",
        "Recordings begun.",
        &[],
        stats.recordings,
    );
    page.counter(
        "amphi_recording_gaps_total",
        "Places where a recording misses something.",
        &[],
        stats.recording_gaps,
    );
    page.counter(
        "amphi_recording_tracks_total",
        "Files of members' tracks begun.",
        &[],
        stats.recording_tracks,
    );
    page.counter(
        "amphi_recording_io_errors_total",
        "Writes to recordings that failed.",
        &[],
        stats.recording_io_errors,
    );
    page.counter(
        "amphi_recordings_deleted_total",
        "Recordings deleted.",
        &[],
        app.keeper.deleted(),
    );
    page.counter(
        "amphi_recording_deletions_failed_total",
        "Times that the files of a recording could not be removed.",
        &[],
        app.keeper.failed(),
    );
    if let Some(exporter) = &app.exporter {
        page.counter(
            "amphi_recordings_exported_total",
            "Recordings of which all was sent elsewhere and read back.",
            &[],
            exporter.done(),
        );
        page.counter(
            "amphi_recording_exports_failed_total",
            "Times that sending a recording elsewhere failed; it is tried again.",
            &[],
            exporter.failed(),
        );
        page.counter(
            "amphi_recording_export_bytes_total",
            "Bytes of recordings that were sent elsewhere.",
            &[],
            exporter.bytes(),
        );
    }
    page.counter(
        "amphi_recording_reads_total",
        "Times that a recording was read to list it.",
        &[],
        app.playlists.reads(),
    );
    page.counter(
        "amphi_composers_started_total",
        "Processes started to compose.",
        &[],
        stats.easel.started,
    );
    page.counter(
        "amphi_composers_died_total",
        "Composers that ended without being asked to, or hung.",
        &[],
        stats.easel.died,
    );
    page.counter(
        "amphi_composers_hung_total",
        "Composers that said nothing any more and were ended; they are counted as died too.",
        &[],
        stats.easel.hung,
    );
    page.counter(
        "amphi_composer_cpu_microseconds_total",
        "Processor time of composers.",
        &[],
        stats.easel.cpu_us,
    );
    page.family(
        "amphi_studio_total",
        "counter",
        "What programs did, by event.",
    );
    let studio = &stats.studio;
    for (event, value) in [
        ("pictures", studio.pictures),
        ("pictures_lower", studio.pictures_lower),
        ("pictures_lower_dropped", studio.pictures_lower_dropped),
        ("access_units", studio.access_units),
        ("cuts", studio.cuts),
        ("key_frame_requests", studio.key_frame_requests),
        ("frames_unknown", studio.frames_unknown),
        ("pictures_broken", studio.pictures_broken),
        ("pictures_nudged", studio.pictures_nudged),
        ("pictures_late", studio.pictures_late),
        ("keys_unusable", studio.keys_unusable),
        ("packets_late", studio.packets_late),
        ("packets_overflow", studio.packets_overflow),
        ("packets_bad", studio.packets_bad),
        ("concealed", studio.concealed),
        ("resyncs", studio.resyncs),
        ("tracks_refused", studio.tracks_refused),
        ("limited", studio.limited),
        ("encoder_errors", studio.encoder_errors),
        ("encoders_replaced", studio.encoders_replaced),
        ("pictures_decoded", studio.pictures_decoded),
        ("decoder_errors", studio.decoder_errors),
        ("pictures_overflow", studio.pictures_overflow),
        ("layouts", studio.layouts),
        ("ticks_unchanged", studio.ticks_unchanged),
        ("ticks_left_out", studio.ticks_left_out),
    ] {
        page.sample("amphi_studio_total", &[("event", event)], value);
    }
}

fn origin(page: &mut Page, app: &App) {
    let stats = app.origin.stats();
    page.gauge(
        "amphi_broadcasts",
        "Broadcasts on air.",
        &[],
        stats.broadcasts,
    );
    page.gauge(
        "amphi_viewers",
        "Distinct viewers that asked for a playlist in the last ten seconds.",
        &[],
        stats.audience.viewers,
    );
    page.family(
        "amphi_viewers_by_rendition",
        "gauge",
        "Of them those who see this quality of a ladder, or only hear.",
    );
    for (rendition, viewers) in stats.audience.by_rendition() {
        let name = rendition.name();
        let labels = [("rendition", name.as_str())];
        page.sample("amphi_viewers_by_rendition", &labels, viewers);
    }
    page.gauge(
        "amphi_hls_blocked_requests",
        "Requests that wait for a part.",
        &[],
        stats.blocked,
    );
    page.counter(
        "amphi_hls_blocked_requests_total",
        "Requests that had to wait.",
        &[],
        stats.blocked_total,
    );
    page.counter(
        "amphi_hls_late_total",
        "Requests that waited in vain.",
        &[],
        stats.blocked_late,
    );
    page.counter(
        "amphi_hls_too_far_total",
        "Requests for what is too far ahead.",
        &[],
        stats.too_far,
    );
    page.counter(
        "amphi_hls_ladders_short_total",
        "Broadcasts whose first viewers were not told of all sizes, since one did not come in time.",
        &[],
        stats.ladders_short,
    );
    page.counter(
        "amphi_hls_parts_total",
        "Parts taken into live windows.",
        &[],
        stats.parts,
    );
    page.counter(
        "amphi_hls_part_bytes_total",
        "Bytes of these parts.",
        &[],
        stats.part_bytes,
    );
    page.gauge(
        "amphi_hls_bytes_held",
        "Bytes of parts in memory.",
        &[],
        stats.bytes_held,
    );
    page.gauge(
        "amphi_hls_dvr_bytes",
        "Bytes of segments and thumbnails on disk, for viewers who go back.",
        &[],
        stats.bytes_kept,
    );
    page.counter(
        "amphi_hls_dvr_segments_total",
        "Segments and thumbnails written to disk, for viewers who go back.",
        &[],
        stats.disk.written,
    );
    page.counter(
        "amphi_hls_dvr_failed_total",
        "Segments and thumbnails that could not be written.",
        &[],
        stats.disk.failed,
    );
    page.counter(
        "amphi_hls_dvr_short_total",
        "Segments that left their window early since they were not on disk.",
        &[],
        stats.segments_unkept,
    );
    let thumbnails = stats.thumbnails;
    page.counter(
        "amphi_hls_thumbnails_total",
        "Thumbnails made.",
        &[],
        thumbnails.made,
    );
    page.counter(
        "amphi_hls_thumbnails_refused_total",
        "Pictures that no thumbnail could be made of, since they do not decode.",
        &[],
        thumbnails.refused,
    );
    page.counter(
        "amphi_hls_thumbnails_missed_total",
        "Thumbnails left out since the process that makes them had died.",
        &[],
        thumbnails.missed,
    );
    page.counter(
        "amphi_thumbnailers_total",
        "Processes started that make thumbnails.",
        &[],
        thumbnails.processes,
    );
    page.counter(
        "amphi_thumbnailers_died_total",
        "Of those, the ones that ended without being asked to.",
        &[],
        thumbnails.died,
    );
    page.counter(
        "amphi_hls_segments_missing_total",
        "Segments that never came.",
        &[],
        stats.segments_missing,
    );
    page.counter(
        "amphi_hls_playlists_rendered_total",
        "Playlists written.",
        &[],
        stats.playlists_rendered,
    );
}

fn http(page: &mut Page, app: &App) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.family(
        "amphi_http_requests_total",
        "counter",
        "Answers, by route and status.",
    );
    for ((route, status), value) in app
        .requests
        .0
        .lock()
        .expect("nobody panics while holding it")
        .iter()
    {
        page.sample(
            "amphi_http_requests_total",
            &[("route", route), ("status", &status.to_string())],
            value,
        );
    }
    let connections = &app.connections;
    // Read the one that is smaller first, or a connection that closes in between makes it negative.
    let closed = count(&connections.closed);
    page.gauge(
        "amphi_http_connections",
        "HTTP connections.",
        &[],
        count(&connections.accepted).saturating_sub(closed),
    );
    page.counter(
        "amphi_http_connections_total",
        "HTTP connections taken.",
        &[],
        count(&connections.accepted),
    );
    page.counter(
        "amphi_http_accept_failed_total",
        "Connections that could not be taken.",
        &[],
        count(&connections.accept_failed),
    );
    page.counter(
        "amphi_http_tls_failed_total",
        "TLS handshakes that failed.",
        &[],
        count(&connections.tls_failed),
    );
    page.counter(
        "amphi_http_timed_out_total",
        "Connections on which nothing moved.",
        &[],
        count(&connections.timed_out),
    );
    let closed = count(&app.sockets.closed);
    page.gauge(
        "amphi_sockets",
        "Call sockets.",
        &[],
        count(&app.sockets.opened).saturating_sub(closed),
    );
    page.counter(
        "amphi_sockets_total",
        "Call sockets opened.",
        &[],
        count(&app.sockets.opened),
    );
    page.counter(
        "amphi_sockets_refused_total",
        "Clients refused at the door of a call.",
        &[],
        count(&app.sockets.refused),
    );
    page.counter(
        "amphi_sockets_cut_total",
        "Call sockets that ended without a close: a client lost its network, or was killed.",
        &[],
        count(&app.sockets.cut),
    );
    page.counter(
        "amphi_sockets_broken_total",
        "Call sockets closed because what came was not WebSocket.",
        &[],
        count(&app.sockets.broken),
    );
    page.counter(
        "amphi_sockets_overloaded_total",
        "Call sockets closed because a shard had too much to do.",
        &[],
        count(&app.sockets.overloaded),
    );
}

fn reports(page: &mut Page, app: &App) {
    page.family(
        "amphi_reports_total",
        "counter",
        "Viewers' reports of broadcasts, by what became of them.",
    );
    let reports = &app.reports;
    for (outcome, counter) in [
        ("taken", &reports.taken),
        ("done", &reports.done),
        ("refused_bad", &reports.bad),
        ("refused_off_air", &reports.off_air),
        ("refused_too_often", &reports.too_often),
    ] {
        let value = counter.load(Ordering::Relaxed);
        page.sample("amphi_reports_total", &[("outcome", outcome)], value);
    }
}

fn process(page: &mut Page, app: &App) {
    if let Some(bytes) = resident_bytes() {
        page.gauge(
            "process_resident_memory_bytes",
            "Memory in use.",
            &[],
            bytes,
        );
    }
    if let Some(seconds) = process_cpu_seconds() {
        page.counter(
            "process_cpu_seconds_total",
            "CPU time of all threads, also of those that ended.",
            &[],
            format!("{seconds:.2}"),
        );
    }
    page.family(
        "amphi_thread_cpu_seconds_total",
        "counter",
        "CPU time by thread name. Of threads that ended it has what they had used when this page was last asked for.",
    );
    for (name, seconds) in app.cpu.seconds() {
        page.sample(
            "amphi_thread_cpu_seconds_total",
            &[("thread", &name)],
            format!("{seconds:.2}"),
        );
    }
}

/// Second field of `/proc/self/statm`, in pages (proc_pid_statm(5)).
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    Some(pages * u64::try_from(rustix::param::page_size()).ok()?)
}

/// All user and system time of this process (proc_pid_stat(5)).
fn process_cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    Some(in_seconds(Thread::read(&stat)?.ticks))
}

fn in_seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// CPU time by the name of threads, which never falls: threads of programs come and go.
#[derive(Default)]
pub struct Cpu(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// Those that run, by id and time of their start, since ids come again; and what each had used under another name.
    threads: BTreeMap<(u64, u64), (Thread, u64)>,
    /// Ticks that no thread of that name has any more. Names are few: they are in the code.
    ended: BTreeMap<String, u64>,
}

/// One thread as the system knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Thread {
    id: u64,
    /// In ticks since the system's start.
    started: u64,
    name: String,
    /// User and system time.
    ticks: u64,
}

impl Cpu {
    fn seconds(&self) -> BTreeMap<String, f64> {
        let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
        let stats = tasks
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
        let threads = stats.filter_map(|stat| Thread::read(&stat)).collect();
        let ticks = self
            .0
            .lock()
            .expect("nobody panics while holding it")
            .see(threads);
        ticks
            .into_iter()
            .map(|(name, ticks)| (name, in_seconds(ticks)))
            .collect()
    }
}

impl Seen {
    /// Takes the threads that there are; ticks by name.
    fn see(&mut self, threads: Vec<Thread>) -> BTreeMap<String, u64> {
        let mut before = std::mem::take(&mut self.threads);
        for thread in threads {
            let key = (thread.id, thread.started);
            let elsewhere = match before.remove(&key) {
                None => 0,
                Some((seen, elsewhere)) if seen.name == thread.name => elsewhere,
                // A thread has its maker's name for a moment: what it did under that stays there.
                Some((seen, elsewhere)) => {
                    *self.ended.entry(seen.name).or_default() +=
                        seen.ticks.saturating_sub(elsewhere);
                    seen.ticks
                }
            };
            self.threads.insert(key, (thread, elsewhere));
        }
        for (ended, elsewhere) in before.into_values() {
            *self.ended.entry(ended.name).or_default() += ended.ticks.saturating_sub(elsewhere);
        }
        let mut sum = self.ended.clone();
        for (thread, elsewhere) in self.threads.values() {
            *sum.entry(thread.name.clone()).or_default() += thread.ticks.saturating_sub(*elsewhere);
        }
        sum
    }
}

impl Thread {
    /// Reads `/proc/…/stat` (proc_pid_stat(5)): id, name in brackets, and of what follows fields 14, 15 and 22.
    fn read(stat: &str) -> Option<Self> {
        // A name may hold spaces and brackets: it ends at the last bracket.
        let (start, end) = (stat.find('(')?, stat.rfind(')')?);
        let mut fields = stat.get(end + 2..)?.split(' ');
        let user: u64 = fields.nth(11)?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Self {
            id: stat[..start].trim().parse().ok()?,
            started: fields.nth(6)?.parse().ok()?,
            name: stat.get(start + 1..end)?.to_owned(),
            ticks: user + system,
        })
    }
}

/// Text in the exposition format 0.0.4.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}")
            .expect("a String takes all that is written to it");
    }

    fn counter(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, labels, value);
    }

    fn gauge(&mut self, name: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, labels, value);
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            let escaped = text
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            write!(self.0, "{before}{label}=\"{escaped}\"")
                .expect("a String takes all that is written to it");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        writeln!(self.0, "{after} {value}").expect("a String takes all that is written to it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_line_with_its_labels() {
        let mut page = Page(String::new());
        page.counter("a_total", "Help.", &[], 1);
        page.sample("b", &[("x", "1\"\n"), ("y", "\\")], 2.5);
        assert_eq!(
            page.0,
            "# HELP a_total Help.\n# TYPE a_total counter\na_total 1\nb{x=\"1\\\"\\n\",y=\"\\\\\"} 2.5\n"
        );
    }

    fn thread(id: u64, started: u64, name: &str, ticks: u64) -> Thread {
        Thread {
            id,
            started,
            name: name.to_owned(),
            ticks,
        }
    }

    #[test]
    fn cpu_time_is_read_behind_a_name_with_brackets() {
        let stat = "7 (a) (b) S 1 2 3 4 5 6 7 8 9 10 120 34 0 0 20 0 9 0 99 1";
        assert_eq!(Thread::read(stat), Some(thread(7, 99, "a) (b", 154)));
        assert_eq!(Thread::read("7 (a"), None);
    }

    #[test]
    fn cpu_time_by_name_never_falls_when_threads_end() {
        let mut seen = Seen::default();
        let mut see = |threads: &[Thread]| {
            let sum = seen.see(threads.to_vec());
            ["program", "shard"].map(|name| sum.get(name).copied().unwrap_or(0))
        };
        let shard = thread(1, 1, "shard", 5);
        assert_eq!(see(&[shard.clone(), thread(2, 9, "program", 30)]), [30, 5]);
        assert_eq!(see(std::slice::from_ref(&shard)), [30, 5], "it ended");
        assert_eq!(
            see(&[shard.clone(), thread(2, 20, "program", 4)]),
            [34, 5],
            "another of the same id"
        );
        assert_eq!(see(&[shard, thread(2, 20, "program", 7)]), [37, 5]);
        // One that was seen before it had its name.
        assert_eq!(see(&[thread(1, 1, "program", 8)]), [40, 5]);
    }

    #[test]
    fn this_process_uses_memory_and_time() {
        assert!(resident_bytes().expect("there is /proc here") > 100_000);
        let start = std::time::Instant::now();
        while start.elapsed() < std::time::Duration::from_millis(60) {
            std::hint::black_box(std::fs::read_dir("/proc").map(Iterator::count).ok());
        }
        assert!(Cpu::default().seconds().values().sum::<f64>() > 0.0);
        assert!(process_cpu_seconds().expect("there is /proc here") > 0.0);
    }

    #[test]
    fn requests_are_counted_by_route_and_status() {
        let requests = Requests::default();
        for status in [StatusCode::OK, StatusCode::OK, StatusCode::NOT_FOUND] {
            requests.count("/a", status);
        }
        let counts = requests.0.into_inner().expect("not poisoned");
        assert_eq!(
            counts.into_iter().collect::<Vec<_>>(),
            [(("/a".into(), 200), 2), (("/a".into(), 404), 1)]
        );
    }
}
