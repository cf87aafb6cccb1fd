/** The keys of a page, under `?`, and the switch that turns them off. */
import { useId } from 'preact/hooks'
import { Dialog } from './Dialog'
import { isSingle, singleKeys } from './keys'
import './keys.css'

export interface KeyHelp {
  keys: string[]
  does: string
}

export function KeyList({ keys, onClose }: { keys: KeyHelp[]; onClose: () => void }) {
  const id = useId()
  const off = !singleKeys.value
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="key-list">
        {keys.map(({ keys: names, does }) => (
          <div key={does}>
            <dt>
              {names.map((name) => (
                <kbd key={name} class={off && isSingle(name) ? 'off' : undefined}>
                  {name}
                </kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <div class="key-switch">
        <input
          id={id}
          type="checkbox"
          data-testid="single-keys"
          checked={!off}
          aria-describedby={`${id}-why`}
          onChange={(event) => (singleKeys.value = event.currentTarget.checked)}
        />
        <label for={id}>Keys without Ctrl</label>
        <p id={`${id}-why`}>Turn them off if you speak to your computer, or hit keys by accident. For all of amphi, in this browser.</p>
      </div>
    </Dialog>
  )
}
