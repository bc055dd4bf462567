/** Small disks for tests: file systems in memory (tmpfs), for which one must be root on Linux. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** @param options size=512k, or remount,ro of one that is there */
export const mount = (dir: string, options: string): void => {
  mkdirSync(dir, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir], { stdio: 'pipe' })
}

export const unmount = (dir: string): void => {
  execFileSync('umount', ['-l', dir], { stdio: 'pipe' })
}

export const canMount = (): boolean => {
  const dir = mkdtempSync(join(tmpdir(), 'attune-mount-'))
  try {
    mount(dir, 'size=64k')
    unmount(dir)
    return true
  } catch {
    return false
  } finally {
    rmSync(dir, { recursive: true })
  }
}
