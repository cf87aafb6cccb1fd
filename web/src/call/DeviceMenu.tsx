interface Props {
  testid: string
  label: string
  devices: MediaDeviceInfo[]
  /** A device's id; `''` or an unknown one shows the first. */
  chosen: string
  onChoose: (id: string) => void
}

export function DeviceMenu({ testid, label, devices, chosen, onChoose }: Props) {
  const shown = devices.some((device) => device.deviceId === chosen) ? chosen : (devices[0]?.deviceId ?? '')
  return (
    <label class="field">
      {label}
      <select data-testid={testid} value={shown} disabled={devices.length === 0} onChange={(event) => onChoose(event.currentTarget.value)}>
        {devices.length === 0 && <option value="">None</option>}
        {devices.map((device, index) => (
          <option key={device.deviceId} value={device.deviceId}>
            {device.label || `${label} ${index + 1}`}
          </option>
        ))}
      </select>
    </label>
  )
}
