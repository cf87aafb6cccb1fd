/** The keys of a page, under `?`. */
import { Dialog } from './Dialog'
import './keys.css'

export interface KeyHelp {
  keys: string[]
  does: string
}

export function KeyList({ keys, onClose }: { keys: KeyHelp[]; onClose: () => void }) {
  return (
    <Dialog title="Keyboard" onClose={onClose}>
      <dl class="key-list">
        {keys.map(({ keys: names, does }) => (
          <div key={does}>
            <dt>
              {names.map((name) => (
                <kbd key={name}>{name}</kbd>
              ))}
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
