/** How loud a microphone is, for the moving bar. */

const LOOK_EVERY_MS = 66
/** Between the quietest sound shown and full scale. */
const RANGE_DB = 60

/** 0..100 for samples in -1..1: their loudness on a scale of decibels, as ears hear it. */
export function levelOf(samples: Float32Array): number {
  let sum = 0
  for (const sample of samples) sum += sample * sample
  const rms = Math.sqrt(sum / Math.max(1, samples.length))
  const db = 20 * Math.log10(Math.max(rms, 1e-6))
  return Math.round(Math.min(100, Math.max(0, ((db + RANGE_DB) / RANGE_DB) * 100)))
}

/** Measures a track until the returned function is called. */
export function measure(track: MediaStreamTrack, say: (level: number) => void): () => void {
  const context = new AudioContext()
  const analyser = context.createAnalyser()
  analyser.fftSize = 1024
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser)
  const samples = new Float32Array(analyser.fftSize)
  let shown = 0
  const timer = setInterval(() => {
    // Made before a click, a context waits for one.
    if (context.state === 'suspended') void context.resume().catch(() => {})
    analyser.getFloatTimeDomainData(samples)
    const level = levelOf(samples)
    // Up at once, down slowly, like the needle of a meter.
    shown = level > shown ? level : Math.max(level, shown - 6)
    say(Math.round(shown))
  }, LOOK_EVERY_MS)
  return () => {
    clearInterval(timer)
    void context.close()
  }
}
