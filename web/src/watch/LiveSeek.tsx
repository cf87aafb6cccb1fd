/** The seek bar of a broadcast: from the oldest moment that is still there to the live edge. */
import { useEffect, useState } from 'preact/hooks'
import { clock, timeOfDay } from '../times'
import type { LivePlayer } from './live'
import { SeekBar, type Looked } from './SeekBar'
import { thumbnailAt, type Thumbnails } from './thumbnails'

/** Of less there is nothing to choose from. */
const SHOWN_FROM_S = 4

export function LiveSeek({ player, thumbnails }: { player: LivePlayer; thumbnails: Thumbnails | null }) {
  const range = player.range.value
  if (!range || range.to - range.from < SHOWN_FROM_S) return null
  return (
    <SeekBar
      player={player}
      range={range}
      at={player.atEdge.value ? range.to : player.position.value}
      words={(place) => (range.to - place < 1 ? 'Live' : `${Math.round(range.to - place)} seconds before live`)}
      preview={(looked) => <Preview player={player} thumbnails={thumbnails} looked={looked} end={range.to} />}
    />
  )
}

/** What was on air at a place of the bar, and when that was. */
function Preview({ player, thumbnails, looked, end }: { player: LivePlayer; thumbnails: Thumbnails | null; looked: Looked; end: number }) {
  const [missing, setMissing] = useState('')
  const date = player.dateAt(looked.place)
  const list = thumbnails?.list.value
  useEffect(() => thumbnails?.look())
  const thumbnail = list && date !== null ? thumbnailAt(list, date) : null
  const ago = end - looked.place < 1 ? 'Live' : `-${clock(end - looked.place)}`
  const shown = thumbnail !== null && thumbnail.url !== missing
  return (
    <output class={shown ? 'seek-preview with-picture' : 'seek-preview'} style={{ '--place': `${looked.share * 100}%` }}>
      {shown && (
        <img
          data-testid="seek-thumbnail"
          data-at={thumbnail.at}
          src={thumbnail.url}
          width={thumbnail.width || undefined}
          height={thumbnail.height || undefined}
          alt=""
          onError={() => setMissing(thumbnail.url)}
        />
      )}
      <span>{date === null ? ago : `${ago} · ${timeOfDay(date)}`}</span>
    </output>
  )
}
