/** The stage's top line: where I am, how long, and who else sees it. */
import type { RoomState } from '../api'
import { useNow } from '../polling'
import { clock, count, secondsBehind, secondsSince } from '../times'
import { Logo } from '../ui/Header'
import { Icon } from '../ui/Icon'
import { withKeys } from '../ui/keys'
import { ThemeToggle } from '../ui/ThemeToggle'
import type { Call } from './call'
import type { House } from './house'
import { Reported } from './Reported'

interface Props {
  room: string
  title: string
  state: RoomState | null
  call: Call
  house: House
  onKeys: () => void
}

export function TopBar({ room, title, state, call, house, onKeys }: Props) {
  const now = useNow()
  const live = state !== null && state.broadcast.state !== 'off'
  const since = call.since.value
  const seconds = live ? secondsSince(state.broadcast.started, now) : since === null ? null : (now - since) / 1000
  return (
    <header class="stage-top">
      <Logo />
      <h1>{title}</h1>
      {seconds !== null && (
        <span class="chip" title={live ? 'Time on air' : 'Time in the call'}>
          <span class="unseen">{live ? 'On air for ' : 'In the call for '}</span>
          {clock(seconds)}
        </span>
      )}
      {state?.recording.state === 'recording' && (
        <span class="chip" role="status">
          <Icon name="record" />
          Recording
        </span>
      )}
      <span class="stage-top-end">
        {house.mayHost && <Reported room={room} house={house} />}
        {live && (
          <span class="chip">
            <Icon name="eye" />
            {count(state.broadcast.viewers)} watching
          </span>
        )}
        {live && (
          <span class="chip" data-testid="seconds-behind" data-seconds={state.broadcast.seconds_behind ?? ''}>
            {behindWords(state)}
          </span>
        )}
        <button type="button" class="button plain square keys-button" aria-label="Keyboard shortcuts" title={withKeys('Keyboard shortcuts', '?')} onClick={onKeys}>
          <Icon name="keyboard" />
        </button>
        <ThemeToggle />
      </span>
    </header>
  )
}

function behindWords({ broadcast }: RoomState) {
  if (broadcast.state === 'starting') return 'Going on air'
  if (broadcast.seconds_behind === null) return 'On air'
  return (
    <span>
      <span class="when-wide">Viewers are </span>
      {secondsBehind(broadcast.seconds_behind)} behind
    </span>
  )
}
