/** Names of settings as flags have them: learningRate -> learning-rate. */
export const kebab = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
