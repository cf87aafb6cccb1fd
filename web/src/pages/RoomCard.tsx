/** A room with people in it: to watch when it is on air, to join when it is only a call. */
import type { RoomSummary } from '../api'
import { followLink, pathTo } from '../router'
import { count, inWords, secondsSince } from '../times'
import { hueOf, initials } from '../ui/hue'
import { Icon } from '../ui/Icon'

export function RoomCard({ room }: { room: RoomSummary }) {
  const hue = hueOf(room.room)
  const title = room.title || room.room
  return (
    <li class="card" data-room={room.room}>
      <a href={pathTo(room.on_air ? 'watch' : 'join', room.room)} onClick={followLink}>
        <span class="card-picture" style={{ backgroundImage: `linear-gradient(160deg, ${hue.from}, ${hue.to})` }}>
          <span class="card-letters" aria-hidden="true">{initials(title)}</span>
          {room.on_air ? <span class="chip live">Live</span> : <span class="chip on-picture">In a call</span>}
          {room.on_air && (
            <span class="chip on-picture viewers">
              <Icon name="eye" />
              <span class="unseen">Watching: </span>
              {count(room.viewers)}
            </span>
          )}
        </span>
        <strong>{title}</strong>
        <span class="dim">{subtitle(room)}</span>
      </a>
    </li>
  )
}

function subtitle(room: RoomSummary): string {
  const people = room.members === 1 ? 'One on stage' : `${count(room.members)} on stage`
  const since = room.on_air ? secondsSince(room.started, Date.now()) : null
  if (since === null) return people
  return since < 60 ? `${people}, live just now` : `${people}, live for ${inWords(since)}`
}
