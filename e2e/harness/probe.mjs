// What a person would see and hear, measured inside the page. tests/probes.test.mjs shows that each can say no.

const HUES = { red: 0, yellow: 60, green: 120, cyan: 180, blue: 240, magenta: 300 };

/**
 * The colour of the picture in a `<video>` or an `<img>`: a name of HUES, or 'none' when it is black, grey or not there.
 * Codecs shift colours, so this is the nearest hue of the coloured pixels, never an exact value.
 * @param {import('playwright-core').Locator} video
 * @param {{ across: [number, number], down: [number, number] }} part of it, from 0 to 1
 */
export async function colourOf(video, part = { across: [0, 1], down: [0, 1] }) {
  const { hue, share } = await video.evaluate((element, { across, down }) => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 64, height: 36 });
    const pen = canvas.getContext('2d', { willReadFrequently: true });
    const [width, height] = [element.videoWidth ?? element.naturalWidth, element.videoHeight ?? element.naturalHeight];
    if (!(width > 0)) return { hue: 0, share: 0 };
    const [x0, y0] = [across[0] * width, down[0] * height];
    pen.drawImage(element, x0, y0, across[1] * width - x0, down[1] * height - y0, 0, 0, 64, 36);
    const { data } = pen.getImageData(0, 0, 64, 36);
    let x = 0;
    let y = 0;
    let coloured = 0;
    for (let at = 0; at < data.length; at += 4) {
      const [r, g, b] = [data[at], data[at + 1], data[at + 2]];
      const most = Math.max(r, g, b);
      const spread = most - Math.min(r, g, b);
      if (most < 60 || spread < most * 0.4) continue;
      const sixth = most === r ? (g - b) / spread : most === g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
      x += Math.cos((sixth * Math.PI) / 3);
      y += Math.sin((sixth * Math.PI) / 3);
      coloured += 1;
    }
    return { hue: (Math.atan2(y, x) * 180) / Math.PI, share: coloured / (64 * 36) };
  }, part);
  if (share < 0.3) return 'none';
  const away = (name) => Math.abs(((HUES[name] - hue + 540) % 360) - 180);
  return Object.keys(HUES).reduce((best, name) => (away(name) < away(best) ? name : best));
}

/**
 * Which of `tones` (Hz) are heard in an element: in its `srcObject`, or in what it plays. A tone is heard when it
 * stands 20 dB above what lies around it, is not silence, and is at most 30 dB below the loudest of them.
 * @param {import('playwright-core').Locator} element
 * @param {number[]} tones
 * @returns {Promise<number[]>}
 */
export async function tonesOf(element, tones) {
  const levels = await element.evaluate(async (media, wanted) => {
    // One analyser per element and audio track; when the element plays another one, it gets a new analyser.
    const ears = (window.earsOfTheTest ??= new WeakMap());
    const source = media.srcObject ?? media.currentSrc;
    let ear = ears.get(media);
    if (!ear || ear.source !== source || ear.track.readyState !== 'live' || !ear.stream.getAudioTracks().includes(ear.track)) {
      await ear?.context.close();
      ears.delete(media);
      const stream = media.srcObject ?? media.captureStream();
      const [track] = stream.getAudioTracks();
      if (!track) return wanted.map(() => ({ tone: -200, around: -200 }));
      const context = new AudioContext();
      await context.resume();
      const analyser = new AnalyserNode(context, { fftSize: 8192, smoothingTimeConstant: 0 });
      context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
      ear = { source, stream, track, context, analyser };
      ears.set(media, ear);
      await new Promise((done) => setTimeout(done, 300));
    }
    const bins = new Float32Array(ear.analyser.frequencyBinCount);
    ear.analyser.getFloatFrequencyData(bins);
    const level = (hz) => Math.max(-200, bins[Math.round((hz * ear.analyser.fftSize) / ear.context.sampleRate)]);
    const peak = (hz) => Math.max(level(hz - 6), level(hz), level(hz + 6));
    const middle = (values) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)];
    return wanted.map((hz) => ({
      tone: peak(hz),
      around: middle([-120, -100, -80, -60, 60, 80, 100, 120].map((off) => level(hz + off))),
    }));
  }, tones);
  const loudest = Math.max(...levels.map(({ tone }) => tone));
  return tones.filter((_, index) => {
    const { tone, around } = levels[index];
    return tone > -75 && tone > around + 20 && tone > loudest - 30;
  });
}

/** How many pictures a `<video>` has shown so far, and their size. */
export const framesOf = (video) =>
  video.evaluate((element) => ({
    shown: element.getVideoPlaybackQuality().totalVideoFrames,
    width: element.videoWidth,
    height: element.videoHeight,
    at: element.currentTime,
    paused: element.paused,
  }));
