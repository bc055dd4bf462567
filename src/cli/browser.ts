/** Shows a file in the browser of whoever sits here. */
import { spawn } from 'node:child_process'

const openers: Partial<Record<NodeJS.Platform, string>> = { darwin: 'open', win32: 'explorer.exe', linux: 'xdg-open' }

/** Whether there is somebody to see it: a terminal, and a display that is not far away. */
const hasDisplay = ({ CI, SSH_CONNECTION, DISPLAY, WAYLAND_DISPLAY }: NodeJS.ProcessEnv): boolean =>
  Boolean(process.stdout.isTTY) &&
  !CI &&
  (process.platform === 'linux' ? Boolean(DISPLAY ?? WAYLAND_DISPLAY) : !SSH_CONNECTION)

/** @returns whether a browser was asked; that there is none is no failure */
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
