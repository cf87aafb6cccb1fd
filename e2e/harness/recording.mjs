// A recording as other people's tools see it.
import { spawnSync } from 'node:child_process';

function run(program, args) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return { stdout, stderr };
}

/**
 * What ffprobe says of a file: its streams, and for each when its first sample begins and its last one ends.
 * @returns {{video: any, audio: any, spans: {video: Span, audio: Span}, streams: any[]}}
 * @typedef {{from: number, to: number}} Span  seconds on the file's own clock
 */
export function probeFile(file) {
  const { stdout } = run('ffprobe', ['-v', 'error', '-show_streams', '-show_format', '-of', 'json', file]);
  const { streams } = JSON.parse(stdout);
  const of = (type) => streams.find((stream) => stream.codec_type === type);
  return { streams, video: of('video'), audio: of('audio'), spans: { video: span(file, 'v'), audio: span(file, 'a') } };
}

/** From the packets themselves, because a file that was never closed cannot say how long it is. */
function span(file, type) {
  const packets = ['-v', 'error', '-select_streams', `${type}:0`, '-show_entries', 'packet=pts_time,duration_time', '-of', 'csv=p=0', file];
  const times = run('ffprobe', packets)
    .stdout.trim()
    .split('\n')
    .map((line) => line.split(',').map(Number))
    .filter(([at]) => Number.isFinite(at));
  const ends = times.map(([at, length]) => at + (Number.isFinite(length) ? length : 0));
  return { from: Math.min(...times.map(([at]) => at)), to: Math.max(...ends) };
}

/**
 * Decodes all of a file; the complaints, one a line, none when it is whole. Frames keep their own times: a call has no
 * steady frame rate, and ffmpeg would move them to one and complain about what it moved.
 */
export function decodeErrors(file) {
  const times = ['-fps_mode', 'passthrough', '-enc_time_base', '-1'];
  const { stderr } = run('ffmpeg', ['-nostdin', '-v', 'error', '-i', file, ...times, '-f', 'null', '-']);
  return stderr.split('\n').filter(Boolean);
}
