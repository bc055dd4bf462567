/** Ctrl-C and SIGTERM: the first one asks the work to stop, the second one ends the process at once. */
const signals = ['SIGINT', 'SIGTERM'] as const

/** Runs `work` with a signal that aborts at the first Ctrl-C; `onFirst` is called then. */
export const interruptible = async <T>(work: (signal: AbortSignal) => Promise<T>, onFirst: () => void): Promise<T> => {
  const controller = new AbortController()
  const listeners = signals.map((name) => {
    const stop = () => {
      // process.exit would end the engine's thread in the middle of its work and crash
      if (controller.signal.aborted) killSelf(name)
      controller.abort()
      onFirst()
    }
    process.on(name, stop)
    return [name, stop] as const
  })
  try {
    return await work(controller.signal)
  } finally {
    for (const [name, stop] of listeners) process.off(name, stop)
  }
}

const killSelf = (name: NodeJS.Signals) => {
  process.removeAllListeners(name)
  process.kill(process.pid, name)
}
