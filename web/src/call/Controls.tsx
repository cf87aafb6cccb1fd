/** The bar under the stage: what I give to the call, and what the room gives to the world. */
import type { RoomState } from '../api'
import { Icon, type IconName } from '../ui/Icon'
import { singleKeys, withKeys } from '../ui/keys'
import type { Call } from './call'
import type { House } from './house'
import './controls.css'

export type Panel = 'people' | null
export type Question = 'record' | 'go-live' | 'announce' | 'on-air' | 'end' | 'devices' | 'keys' | null

interface Props {
  call: Call
  house: House
  state: RoomState | null
  panel: Panel
  onPanel: (panel: Panel) => void
  onAsk: (question: Question) => void
  onLeave: () => void
}

export function Controls({ call, house, state, panel, onPanel, onAsk, onLeave }: Props) {
  const me = call.me
  const muted = !call.microphone.on.value
  const filming = call.camera.on.value
  const sharing = call.screen.on.value
  const connected = call.state.value === 'connected'
  // Nobody starts anything in a room before being in it: the server would refuse it.
  const outside = call.state.value === 'connecting'
  const live = state !== null && state.broadcast.state !== 'off'
  const recording = state?.recording.state === 'recording'
  const busy = house.busy.value
  return (
    <footer class="controls" aria-label="Call">
      <p class="controls-say" role="status">
        {connected && muted && me?.allowed.has('microphone') ? (singleKeys.value ? 'You are muted. Hold Space to speak.' : 'You are muted.') : ''}
      </p>
      <div class="controls-group">
        <Control testid="mute-button" word="Mute" title={withKeys('Mute', 'M', 'Ctrl+D')} pressed={muted} icon={muted ? 'microphoneOff' : 'microphone'} look={muted ? 'off' : ''} onPress={() => void call.toggleMicrophone()} />
        <Control testid="camera-button" word="Camera" title={withKeys('Camera', 'V', 'Ctrl+E')} pressed={filming} icon={filming ? 'camera' : 'cameraOff'} look={filming ? '' : 'off'} onPress={() => void call.toggleCamera()} />
        <Control testid="screen-button" word="Share" label="Share screen" title={withKeys('Share screen', 'S')} pressed={sharing} icon="screen" look={sharing ? 'on' : ''} onPress={() => void call.toggleScreen()} />
        <Control testid="people-button" word="People" title={withKeys('People', 'P')} pressed={panel === 'people'} icon="people" look={panel === 'people' ? 'on' : ''} onPress={() => onPanel(panel === 'people' ? null : 'people')} />
        <Control testid="devices-button" word="Devices" title="Devices" icon="settings" look="" onPress={() => onAsk('devices')} />
        <button type="button" class="button danger leave" data-testid="leave-button" title="Leave the call" onClick={onLeave}>
          <Icon name="leave" />
          <span>Leave</span>
        </button>
      </div>
      <div class="controls-group controls-world">
        <button
          type="button"
          class="button"
          data-testid="record-button"
          aria-pressed={recording}
          aria-disabled={!house.mayRecord || outside || busy === 'recording'}
          title={recording ? 'Stop recording' : 'Start recording'}
          onClick={() => (!house.mayRecord ? house.refuseRecording() : outside ? house.refuseYet() : recording ? void house.endRecording() : onAsk('record'))}
        >
          <Icon name="record" />
          Record
        </button>
        <button
          type="button"
          class={live ? 'button dot-live is-live' : 'button primary'}
          data-testid="go-live-button"
          aria-pressed={live}
          aria-disabled={!house.mayBroadcast || (outside && !live) || busy === 'broadcast'}
          title={live ? 'About this broadcast' : 'Go live'}
          onClick={() => (live ? onAsk('on-air') : !house.mayBroadcast ? house.refuseBroadcast() : outside ? house.refuseYet() : onAsk('go-live'))}
        >
          Go live
        </button>
        {live && (
          <button
            type="button"
            class="button outlined"
            data-testid="end-broadcast-button"
            aria-disabled={!house.mayBroadcast || busy === 'broadcast'}
            onClick={() => (house.mayBroadcast ? onAsk('end') : house.refuseBroadcast())}
          >
            End<span class="when-roomy">broadcast</span>
          </button>
        )}
      </div>
    </footer>
  )
}

interface ControlProps {
  testid: string
  /** What stands under the icon. */
  word: string
  /** The name, when the word is too short to be one. */
  label?: string
  title: string
  pressed?: boolean
  icon: IconName
  look: '' | 'on' | 'off'
  onPress: () => void
}

function Control({ testid, word, label, title, pressed, icon, look, onPress }: ControlProps) {
  return (
    <button
      type="button"
      class={look === '' ? 'control' : `control is-${look}`}
      data-testid={testid}
      title={title}
      {...(label === undefined ? {} : { 'aria-label': label })}
      {...(pressed === undefined ? {} : { 'aria-pressed': pressed })}
      onClick={(event) => {
        onPress()
        // Clicked by pointer it would keep the focus, and Space would press it instead of opening the microphone.
        if (event.detail > 0) event.currentTarget.blur()
      }}
    >
      <Icon name={icon} />
      <span>{word}</span>
    </button>
  )
}
