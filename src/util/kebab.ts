/** Names of settings as flags have them: learningRate -> learning-rate; a single capital stays: C. */
export const kebab = (key: string): string => key.replace(/(?<=.)[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
