/** The controls over a recording. */
import { marksOf, type Moment } from '../timeline'
import { clock } from '../times'
import { PlayerBar, QualitySelect } from './PlayerBar'
import type { Screen } from './PlayerFrame'
import type { RecordedPlayer } from './recorded'
import { SeekBar, type Looked } from './SeekBar'
import { SPEEDS, speedInWords } from './speed'

interface Props {
  player: RecordedPlayer
  screen: Screen
  moments: Moment[]
}

export function RecordedControls({ player, screen, moments }: Props) {
  const several = player.qualities.value.length > 1
  return (
    <PlayerBar
      player={player}
      screen={screen}
      seek={<RecordedSeek player={player} moments={moments} />}
      where={<Time player={player} />}
      tools={
        <>
          <SpeedSelect player={player} place="bar" />
          {several && <QualitySelect player={player} place="bar" />}
        </>
      }
      settings={() => (
        <>
          <label class="narrow-only">
            Speed
            <SpeedSelect player={player} place="menu" />
          </label>
          {several && (
            <label class="narrow-only">
              Quality
              <QualitySelect player={player} place="menu" />
            </label>
          )}
        </>
      )}
    />
  )
}

function RecordedSeek({ player, moments }: { player: RecordedPlayer; moments: Moment[] }) {
  const range = player.range.value
  if (!range) return null
  return (
    <SeekBar
      player={player}
      range={range}
      at={player.position.value}
      words={(place) => `${clock(place)} of ${clock(range.to)}`}
      preview={(looked) => <Preview looked={looked} moments={moments} />}
    >
      {marksOf(moments, range.to).map((share) => (
        <span key={share} class="seek-mark" style={{ '--share': share }} />
      ))}
    </SeekBar>
  )
}

/** A place of the bar, and what had last happened there. */
function Preview({ looked, moments }: { looked: Looked; moments: Moment[] }) {
  const last = moments.findLast((moment) => moment.at_s <= looked.place)
  return (
    <output class="seek-preview with-words" style={{ '--place': `${looked.share * 100}%` }}>
      <span>{clock(looked.place)}</span>
      {last && <span class="seek-words">{last.words}</span>}
    </output>
  )
}

function Time({ player }: { player: RecordedPlayer }) {
  return (
    <span class="bar-text" data-testid="time">
      {clock(player.position.value)} / {clock(player.range.value?.to ?? 0)}
    </span>
  )
}

function SpeedSelect({ player, place }: { player: RecordedPlayer; place: 'bar' | 'menu' }) {
  const speed = player.speed.value
  // By other means (a browser's own menu, an extension) it may be any.
  const speeds = SPEEDS.includes(speed) ? SPEEDS : [...SPEEDS, speed].sort((a, b) => a - b)
  return (
    <select
      class={place === 'bar' ? 'quality in-bar' : 'quality'}
      data-testid={place === 'bar' ? 'speed-select' : undefined}
      aria-label="Speed"
      value={String(speed)}
      onChange={(event) => player.setSpeed(Number(event.currentTarget.value))}
    >
      {speeds.map((one) => (
        <option key={one} value={String(one)}>
          {speedInWords(one)}
        </option>
      ))}
    </select>
  )
}
