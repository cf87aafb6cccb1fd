/** Numbers about how a broadcast plays, over the picture. */
import { useEffect, useState } from 'preact/hooks'
import type { LivePlayer } from './live'

const READ_EVERY_MS = 500

export function Statistics({ player, onClose }: { player: LivePlayer; onClose: () => void }) {
  const [facts, setFacts] = useState(() => player.facts())
  useEffect(() => {
    const timer = setInterval(() => setFacts(player.facts()), READ_EVERY_MS)
    return () => clearInterval(timer)
  }, [player])
  const rows = [
    ['Picture', facts.size],
    ['Codecs', facts.codecs || 'unknown'],
    ['Bit rate', `${facts.bitrate_kbps} kbit/s of ${facts.bandwidth_kbps} possible`],
    ['Buffer', `${facts.buffer_s.toFixed(1)} s`],
    ['Latency', `${facts.latency_s.toFixed(1)} s, wanted ${facts.target_s.toFixed(1)} s`],
    ['Frames dropped', `${facts.dropped} of ${facts.shown}`],
    ['Segment', facts.piece || 'none yet'],
  ]
  return (
    <div class="statistics" data-testid="statistics">
      <dl>
        {rows.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <button type="button" class="bar-button" aria-label="Close the statistics" onClick={onClose}>
        ×
      </button>
    </div>
  )
}
