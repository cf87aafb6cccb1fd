/** Everybody on stage, and for who runs the room what can be done about each of them. */
import { useState } from 'preact/hooks'
import { Avatar } from '../ui/Avatar'
import { Icon } from '../ui/Icon'
import { CopyLink } from '../ui/CopyLink'
import { pathTo } from '../router'
import type { Call, MemberView } from './call'
import type { House } from './house'
import { qualityWords } from './Tile'
import './people.css'

interface Props {
  room: string
  call: Call
  house: House
  /** Whether a link to the door is enough to come in. */
  openDoor: boolean
  onClose: () => void
}

export function PeoplePanel({ room, call, house, openDoor, onClose }: Props) {
  const members = call.members.value
  return (
    <aside class="people" data-testid="people-panel" aria-label="People">
      <div class="people-head">
        <h2>On stage ({members.length})</h2>
        <button type="button" class="button plain square" aria-label="Close the list of people" onClick={onClose}>
          <Icon name="close" />
        </button>
      </div>
      <ul>
        {members.map((member) => (
          <Row key={member.identity} member={member} house={house} />
        ))}
      </ul>
      <div class="people-invite">
        {openDoor && <CopyLink path={pathTo('join', room)} label="Copy the link to join" />}
        <CopyLink path={pathTo('watch', room)} label="Copy the link to watch" />
      </div>
    </aside>
  )
}

function Row({ member, house }: { member: MemberView; house: House }) {
  const { name, identity, isMe, microphone, quality } = member
  const [open, setOpen] = useState(false)
  const says = [qualityWords(quality), microphone ? '' : 'Muted', member.camera ? '' : 'No camera', member.screen ? 'Sharing a screen' : '']
  return (
    <li class="person" data-identity={identity}>
      <Avatar name={name} seed={identity} />
      <span class="person-name">
        {isMe ? `${name} (you)` : name}
        <small>{says.filter((word) => word !== '').join(', ')}</small>
      </span>
      <Icon name={microphone ? 'microphone' : 'microphoneOff'} />
      {house.mayHost && !isMe && (
        <button type="button" class="button plain square" aria-expanded={open} aria-label={`Manage ${name}`} title={`Manage ${name}`} onClick={() => setOpen(!open)}>
          <Icon name="more" />
        </button>
      )}
      {open && house.mayHost && !isMe && <Host member={member} house={house} />}
    </li>
  )
}

function Host({ member, house }: { member: MemberView; house: House }) {
  const speaks = member.allowed.has('microphone')
  const shows = member.allowed.has('camera')
  return (
    <span class="person-host" role="group" aria-label={`What ${member.name} may do`}>
      <button type="button" class="button small" onClick={() => void house.allow(member, 'microphone', !speaks)}>
        {speaks ? 'Mute' : 'Allow to speak'}
        <span class="unseen"> {member.name}</span>
      </button>
      <button type="button" class="button small" onClick={() => void house.allow(member, 'camera', !shows)}>
        {shows ? 'Stop camera' : 'Allow camera'}
        <span class="unseen"> of {member.name}</span>
      </button>
      <button type="button" class="button small outlined" onClick={() => void house.remove(member)}>
        Remove<span class="unseen"> {member.name}</span>
      </button>
    </span>
  )
}
