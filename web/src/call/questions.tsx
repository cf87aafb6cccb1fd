/** The stage's dialogs: going live, the running broadcast, ending it, devices. */
import { useEffect, useState } from 'preact/hooks'
import type { Program, RoomState, ServerInfo } from '../api'
import * as choices from '../choices'
import { pathTo } from '../router'
import { count, secondsBehind } from '../times'
import { CopyLink } from '../ui/CopyLink'
import { Dialog } from '../ui/Dialog'
import type { Call } from './call'
import type { House } from './house'
import { DeviceMenu } from './DeviceMenu'

const PROGRAMS: { program: Program; name: string; says: string }[] = [
  { program: 'auto', name: 'Automatic', says: 'amphi chooses what suits the people on stage.' },
  { program: 'cut', name: 'Cut', says: 'One picture at a time: a shared screen, or who is speaking.' },
  { program: 'compose', name: 'Composed', says: 'Everybody side by side in one picture.' },
]

interface GoLiveProps {
  house: House
  server: ServerInfo | null
  /** It is recorded already. */
  recording: boolean
  onClose: () => void
}

export function GoLive({ house, server, recording, onClose }: GoLiveProps) {
  const [program, setProgram] = useState<Program>('auto')
  const mayChoose = house.mayRecord && !recording
  const [record, setRecord] = useState(true)
  const composes = server?.composes === true
  return (
    <Dialog title="Go live?" onClose={onClose}>
      <p>Everyone with the link can watch. Everybody on stage is heard, and the broadcast shows them.</p>
      <fieldset class="choices">
        <legend>Program</legend>
        {PROGRAMS.map(({ program: one, name, says }) => {
          const missing = one === 'compose' && !composes
          return (
            <label key={one} class="choice">
              <input type="radio" name="program" value={one} checked={program === one} disabled={missing} onChange={() => setProgram(one)} />
              <strong>{name}</strong>
              <small>{missing ? 'This server does not compose pictures yet. Cut works.' : says}</small>
            </label>
          )
        })}
      </fieldset>
      {mayChoose && (
        <Also testid="record-too" name="Record it too" says="Who missed it can watch it afterwards." checked={record} onChange={setRecord} />
      )}
      <div class="dialog-end">
        <button type="button" class="button" onClick={onClose}>
          Not yet
        </button>
        <button
          type="button"
          class="button danger"
          data-testid="confirm-go-live"
          onClick={() => {
            onClose()
            void house.goLive(program, mayChoose && record)
          }}
        >
          Go live
        </button>
      </div>
    </Dialog>
  )
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

export function OnAir({ room, state, onClose }: { room: string; state: RoomState | null; onClose: () => void }) {
  const broadcast = state?.broadcast
  if (!broadcast || broadcast.state === 'off') return null
  return (
    <Dialog title={broadcast.state === 'starting' ? 'Going on air' : 'On air'} onClose={onClose}>
      <p>
        {count(broadcast.viewers)} watching
        {broadcast.seconds_behind !== null && `, ${secondsBehind(broadcast.seconds_behind)} behind the call`}
        {broadcast.on_air_member && `. The picture shows ${broadcast.on_air_member.name || broadcast.on_air_member.identity}`}.
      </p>
      {broadcast.note && <p class="note">{broadcast.note}</p>}
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
