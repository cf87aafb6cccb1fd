// A recording as other people's tools see it.
import { spawnSync } from 'node:child_process';

function run(program, args) {
  const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
  return { stdout, stderr };
}

/**
 * What ffprobe says of a file: its streams and for each the seconds from first to last sample.
 * @returns {{video: any, audio: any, seconds: {video: number, audio: number}, streams: any[]}}
 */
export function probeFile(file) {
  const { stdout } = run('ffprobe', ['-v', 'error', '-show_streams', '-show_format', '-of', 'json', file]);
  const { streams } = JSON.parse(stdout);
  const of = (type) => streams.find((stream) => stream.codec_type === type);
  return { streams, video: of('video'), audio: of('audio'), seconds: { video: span(file, 'v'), audio: span(file, 'a') } };
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
  return Math.max(...ends) - Math.min(...times.map(([at]) => at));
}

/** Decodes all of a file; the decoder's complaints, one a line, none when it is whole. */
export function decodeErrors(file) {
  const { stderr } = run('ffmpeg', ['-nostdin', '-v', 'error', '-i', file, '-f', 'null', '-']);
  return stderr.split('\n').filter(Boolean);
}
