/** The stage's dialogs: going live, the running broadcast, ending it, devices. */
import { useEffect, useState } from 'preact/hooks'
import type { CameraFit, Layout, Program, ProgramWish, RoomState, ServerInfo } from '../api'
import * as choices from '../choices'
import { pathTo } from '../router'
import { count, secondsBehind } from '../times'
import { StartTime } from '../ui/Announcement'
import { CopyLink } from '../ui/CopyLink'
import { Dialog } from '../ui/Dialog'
import type { Call } from './call'
import type { House } from './house'
import { AudienceView } from './AudienceView'
import { DeviceMenu } from './DeviceMenu'

const PROGRAMS: { program: Program; name: string; says: string }[] = [
  { program: 'auto', name: 'Automatic', says: 'Everybody in one picture, as well as this server can; else who is speaking.' },
  { program: 'compose', name: 'Composed', says: 'Everybody in one picture.' },
  { program: 'cut', name: 'Cut', says: 'One picture at a time: a shared screen, or who is speaking.' },
]

const LAYOUTS: { layout: Layout; name: string }[] = [
  { layout: 'grid', name: 'Grid: all of the same size' },
  { layout: 'speaker', name: 'Speaker: who speaks large, the others beside' },
  { layout: 'screen', name: 'Screen: a shared screen large, people beside' },
  { layout: 'side-by-side', name: 'Side by side: the first two' },
  { layout: 'audio', name: 'Audio: names only' },
]

const FITS: { fit: CameraFit; name: string }[] = [
  { fit: 'auto', name: 'Automatic: cropped if most of them is still seen' },
  { fit: 'crop', name: 'Crop: every place is filled' },
  { fit: 'whole', name: 'Whole: nothing is cut off' },
]

/** Longest text that a picture has place for; the server says the same. */
const TITLE_MAX = 80

interface GoLiveProps {
  house: House
  server: ServerInfo | null
  /** What the room is called; empty: it has no title. */
  title: string
  /** When it is announced to go live, as an RFC 3339 time. */
  starts: string | null
  /** It is recorded already. */
  recording: boolean
  onAnnounce: () => void
  onClose: () => void
}

/** What makes the picture; where people are composed, how they are arranged and what is written over them. */
function ProgramChoice({ wish, composes, onChange }: { wish: ProgramWish; composes: boolean; onChange: (change: Partial<ProgramWish>) => void }) {
  const { program: chosen, layout, fit } = wish
  // What is typed is told when it is finished.
  const [title, setTitle] = useState(wish.title)
  useEffect(() => setTitle(wish.title), [wish.title])
  return (
    <>
      <fieldset class="choices">
        <legend>Program</legend>
        {PROGRAMS.map(({ program, name, says }) => {
          const missing = program === 'compose' && !composes
          return (
            <label key={program} class="choice">
              <input type="radio" name="program" value={program} checked={chosen === program} disabled={missing} onChange={() => onChange({ program })} />
              <strong>{name}</strong>
              <small>{missing ? 'This server composes no pictures. Cut works.' : says}</small>
            </label>
          )
        })}
      </fieldset>
      {chosen !== 'cut' && (
        <>
        <label class="field">
          <span>Arrangement</span>
          <select data-testid="layout-select" value={layout} onChange={(event) => onChange({ layout: event.currentTarget.value as Layout })}>
            {LAYOUTS.map(({ layout, name }) => (
              <option key={layout} value={layout}>
                {name}
              </option>
            ))}
          </select>
        </label>
        {layout !== 'audio' && (
          <label class="field">
            <span>Cameras that are upright or wide</span>
            <select data-testid="fit-select" value={fit} onChange={(event) => onChange({ fit: event.currentTarget.value as CameraFit })}>
              {FITS.map(({ fit, name }) => (
                <option key={fit} value={fit}>
                  {name}
                </option>
              ))}
            </select>
          </label>
        )}
        <label class="field">
          <span>Title in the picture</span>
          <input
            data-testid="title-input"
            value={title}
            maxLength={TITLE_MAX}
            placeholder="None"
            onInput={(event) => setTitle(event.currentTarget.value)}
            onChange={(event) => onChange({ title: event.currentTarget.value.trim() })}
          />
        </label>
        </>
      )}
    </>
  )
}

export function GoLive({ house, server, title, starts, recording, onAnnounce, onClose }: GoLiveProps) {
  const [wish, setWish] = useState<ProgramWish>({ program: server?.program ?? 'auto', layout: server?.layout ?? 'grid', fit: server?.fit ?? 'auto', title: server?.room_title ? [...title].slice(0, TITLE_MAX).join('') : '' })
  const mayChoose = house.mayRecord && !recording
  const [record, setRecord] = useState(true)
  const [tracks, setTracks] = useState(server?.tracks === true)
  return (
    <Dialog title="Go live?" onClose={onClose}>
      <p>Everyone with the link can watch. Everybody on stage is heard, and the broadcast shows them.</p>
      {starts !== null && (
        <p class="note">
          Announced for <StartTime starts={starts} />.
        </p>
      )}
      <ProgramChoice wish={wish} composes={server?.composes === true} onChange={(change) => setWish({ ...wish, ...change })} />
      {mayChoose && (
        <Also testid="record-too" name="Record it too" says="Who missed it can watch it afterwards." checked={record} onChange={setRecord} />
      )}
      {mayChoose && record && <TracksToo checked={tracks} onChange={setTracks} />}
      <div class="dialog-end">
        {house.mayConfigure && (
          <button type="button" class="button plain" data-testid="announce-button" onClick={onAnnounce}>
            {starts === null ? 'Announce a time' : 'Change the time'}
          </button>
        )}
        <button type="button" class="button" onClick={onClose}>
          Not yet
        </button>
        <button
          type="button"
          class="button danger"
          data-testid="confirm-go-live"
          onClick={() => {
            onClose()
            void house.goLive(wish, mayChoose && record ? { tracks } : null)
          }}
        >
          Go live
        </button>
      </div>
    </Dialog>
  )
}

export function StartRecording({ house, server, onClose }: Pick<GoLiveProps, 'house' | 'server' | 'onClose'>) {
  const [tracks, setTracks] = useState(server?.tracks === true)
  return (
    <Dialog title="Record?" onClose={onClose}>
      <p>The program is recorded: what an audience sees and hears. It need not be on air.</p>
      <TracksToo checked={tracks} onChange={setTracks} />
      <div class="dialog-end">
        <button type="button" class="button" onClick={onClose}>
          Not yet
        </button>
        <button
          type="button"
          class="button primary"
          data-testid="confirm-record"
          onClick={() => {
            onClose()
            void house.record({ tracks })
          }}
        >
          Start recording
        </button>
      </div>
    </Dialog>
  )
}

function TracksToo({ checked, onChange }: { checked: boolean; onChange: (checked: boolean) => void }) {
  return <Also testid="tracks-too" name="Every member's own track too" says="Each camera, microphone and screen as it is sent, for cutting it afterwards. Takes more space." checked={checked} onChange={onChange} />
}

function Also({ testid, name, says, checked, onChange }: { testid: string; name: string; says: string; checked: boolean; onChange: (checked: boolean) => void }) {
  return (
    <label class="choice">
      <input type="checkbox" data-testid={testid} checked={checked} onChange={(event) => onChange(event.currentTarget.checked)} />
      <strong>{name}</strong>
      <small>{says}</small>
    </label>
  )
}

interface OnAirProps {
  room: string
  house: House
  server: ServerInfo | null
  state: RoomState | null
  onClose: () => void
}

export function OnAir({ room, house, server, state, onClose }: OnAirProps) {
  const broadcast = state?.broadcast
  if (!broadcast || broadcast.state === 'off') return null
  const { picture } = broadcast
  return (
    <Dialog title={broadcast.state === 'starting' ? 'Going on air' : 'On air'} onClose={onClose}>
      {broadcast.state === 'on_air' && broadcast.hls && <AudienceView source={broadcast.hls} />}
      <p>
        {count(broadcast.viewers)} watching
        {broadcast.seconds_behind !== null && `, ${secondsBehind(broadcast.seconds_behind)} behind the call`}
        {broadcast.on_air_member && `. The picture shows ${broadcast.on_air_member.name || broadcast.on_air_member.identity}`}
        {picture && `. Composed at ${picture.width} × ${picture.height}`}.
      </p>
      {broadcast.note && <p class="note">{broadcast.note}</p>}
      {house.mayBroadcast && broadcast.requested && (
        <ProgramChoice
          wish={{ program: broadcast.requested, layout: broadcast.layout ?? 'grid', fit: broadcast.fit ?? 'auto', title: broadcast.picture_title ?? '' }}
          composes={server?.composes === true}
          onChange={(change) => void house.changeBroadcast(change)}
        />
      )}
      <CopyLink path={pathTo('watch', room)} label="Copy the link to watch" />
    </Dialog>
  )
}

export function EndBroadcast({ house, viewers, recording, onClose }: { house: House; viewers: number; recording: boolean; onClose: () => void }) {
  const mayChoose = house.mayRecord && recording
  const [stop, setStop] = useState(true)
  return (
    <Dialog title="End the broadcast?" onClose={onClose}>
      <p>{viewers > 0 ? `${count(viewers)} ${viewers === 1 ? 'person is' : 'people are'} watching. ` : ''}The call goes on without the audience.</p>
      {mayChoose && (
        <Also testid="stop-recording-too" name="End the recording too" says="It is among the recordings and plays at once." checked={stop} onChange={setStop} />
      )}
      <div class="dialog-end">
        <button type="button" class="button" onClick={onClose}>
          Stay on air
        </button>
        <button
          type="button"
          class="button danger"
          data-testid="confirm-end"
          onClick={() => {
            onClose()
            void house.endBroadcast(mayChoose && stop)
          }}
        >
          End broadcast
        </button>
      </div>
    </Dialog>
  )
}

export function Devices({ call, onClose }: { call: Call; onClose: () => void }) {
  const devices = useDevices()
  const of = (kind: MediaDeviceKind) => devices.filter((device) => device.kind === kind && device.deviceId !== '')
  const speakers = of('audiooutput')
  return (
    <Dialog title="Devices" onClose={onClose}>
      <DeviceMenu testid="mic-select" label="Microphone" devices={of('audioinput')} chosen={choices.microphoneId.value} onChoose={(id) => void call.chooseMicrophone(id)} />
      <DeviceMenu testid="camera-select" label="Camera" devices={of('videoinput')} chosen={choices.cameraId.value} onChoose={(id) => void call.chooseCamera(id)} />
      {speakers.length > 0 && (
        <DeviceMenu testid="speaker-select" label="Speaker" devices={speakers} chosen={choices.speakerId.value} onChoose={(id) => void call.chooseSpeaker(id)} />
      )}
    </Dialog>
  )
}

function useDevices(): MediaDeviceInfo[] {
  const [found, setFound] = useState<MediaDeviceInfo[]>([])
  useEffect(() => {
    const devices = navigator.mediaDevices as MediaDevices | undefined
    if (!devices) return
    const list = () => void devices.enumerateDevices().then(setFound, () => {})
    list()
    devices.addEventListener('devicechange', list)
    return () => devices.removeEventListener('devicechange', list)
  }, [])
  return found
}
