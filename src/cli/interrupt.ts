/** Ctrl-C and SIGTERM: the first asks the work to stop, the second ends the process. */
const signals = ['SIGINT', 'SIGTERM'] as const

/** Runs `work` under a signal; `onFirst` is told when it is asked to stop. */
export const interruptible = async <T>(work: (signal: AbortSignal) => Promise<T>, onFirst: () => void): Promise<T> => {
  const controller = new AbortController()
  const stop = () => {
    if (controller.signal.aborted) process.exit(130)
    controller.abort()
    onFirst()
  }
  for (const name of signals) process.on(name, stop)
  try {
    return await work(controller.signal)
  } finally {
    for (const name of signals) process.off(name, stop)
  }
}
