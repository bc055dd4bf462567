/** Opens a file in the web browser of the person at the terminal. */
import { spawn } from 'node:child_process'

const openers: Partial<Record<NodeJS.Platform, string>> = { darwin: 'open', win32: 'explorer.exe', linux: 'xdg-open' }

/** Whether somebody can see a browser: stdout is a terminal, and there is a local display. */
const hasDisplay = ({ CI, SSH_CONNECTION, DISPLAY, WAYLAND_DISPLAY }: NodeJS.ProcessEnv): boolean =>
  Boolean(process.stdout.isTTY) &&
  !CI &&
  (process.platform === 'linux' ? Boolean(DISPLAY ?? WAYLAND_DISPLAY) : !SSH_CONNECTION)

/** @returns whether a browser was started; where there is none, nothing happens */
export const openInBrowser = (path: string): Promise<boolean> => {
  const opener = openers[process.platform]
  if (!opener || !hasDisplay(process.env)) return Promise.resolve(false)
  return new Promise((resolve) => {
    const child = spawn(opener, [path], { detached: true, stdio: 'ignore' })
    child.on('error', () => resolve(false))
    child.on('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}
