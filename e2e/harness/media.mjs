// Fake cameras and microphones: a colour that moves and a tone, made once by ffmpeg into e2e/.cache.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import path from 'node:path';

const CACHE = path.resolve(import.meta.dirname, '../.cache');

function cached(name, ffmpegArgs) {
  const file = path.join(CACHE, name);
  if (!existsSync(file)) {
    mkdirSync(CACHE, { recursive: true });
    // Written beside and renamed, so that an interrupted run leaves no half a file to trust.
    const half = path.join(CACHE, `half-${process.pid}-${name}`);
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...ffmpegArgs, half], { stdio: ['ignore', 'inherit', 'inherit'] });
    renameSync(half, file);
  }
  return file;
}

/**
 * A camera that sees one colour, with a white bar that wanders over it, so that every frame is another one.
 * @param {string} colour  as ffmpeg names it
 */
export function camera(colour) {
  const picture = `color=c=${colour}:s=640x360:r=20:d=4[back];color=c=white:s=24x360:r=20:d=4[bar];` +
    `[back][bar]overlay=x='mod(t*160\\,640)':y=0`;
  return cached(`${colour}.mjpeg`, ['-filter_complex', picture, '-c:v', 'mjpeg', '-q:v', '4']);
}

/**
 * A camera that sees one colour after the other, and begins anew.
 * @param {string[]} colours  as ffmpeg names them
 * @param {number} seconds  how long it sees each
 */
export function changingCamera(colours, seconds) {
  const inputs = colours.map((colour, at) => `color=c=${colour}:s=640x360:r=20:d=${seconds}[c${at}];`).join('');
  const all = `${inputs}${colours.map((_, at) => `[c${at}]`).join('')}concat=n=${colours.length}[back]`;
  const length = colours.length * seconds;
  const picture = `${all};color=c=white:s=24x360:r=20:d=${length}[bar];[back][bar]overlay=x='mod(t*160\\,640)':y=0`;
  return cached(`${colours.join('-')}-${seconds}.mjpeg`, ['-filter_complex', picture, '-c:v', 'mjpeg', '-q:v', '4']);
}

/** A microphone that hears one tone. Chromium plays it again and again; whole periods, so that it does not click. */
export function microphone(hz) {
  return cached(`${hz}.wav`, ['-f', 'lavfi', '-i', `sine=f=${hz}:r=48000:d=5`, '-af', 'volume=12dB', '-ac', '1']);
}
