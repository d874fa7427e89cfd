#include "deploy/sorteo/names.h"

static const char *const women[] = {
    "María",    "Sofía",     "Valentina", "Camila",   "Martina",   "Lucía",     "Julieta",
    "Agustina", "Florencia", "Micaela",   "Victoria", "Milagros",  "Candela",   "Rocío",
    "Carolina", "Paula",     "Ana",       "Laura",    "Daniela",   "Gabriela",  "Natalia",
    "Andrea",   "Silvia",    "Patricia",  "Mónica",   "Claudia",   "Marcela",   "Mariana",
    "Verónica", "Alejandra", "Cecilia",   "Lorena",   "Graciela",  "Susana",    "Marta",
    "Norma",    "Elena",     "Rosa",      "Teresa",   "Beatriz",   "Stella",    "Liliana",
    "Adriana",  "Viviana",   "Romina",    "Soledad",  "Guadalupe", "Antonella", "Catalina",
    "Renata",   "Delfina",   "Emilia",    "Josefina", "Constanza", "Abril",     "Pilar",
    "Zoe",      "Brenda",    "Yamila",    "Noelia",   "Inés",      "Luz",       "Mercedes",
    "Eugenia",
};

static const char *const men[] = {
    "Juan",     "Mateo",     "Santiago",    "Thiago",   "Benjamín", "Joaquín", "Lautaro",
    "Tomás",    "Agustín",   "Franco",      "Nicolás",  "Facundo",  "Matías",  "Lucas",
    "Martín",   "Sebastián", "Maximiliano", "Federico", "Gonzalo",  "Ignacio", "Diego",
    "Pablo",    "Alejandro", "Fernando",    "Gustavo",  "Marcelo",  "Daniel",  "Carlos",
    "Luis",     "José",      "Jorge",       "Miguel",   "Héctor",   "Ricardo", "Roberto",
    "Eduardo",  "Oscar",     "Rubén",       "Raúl",     "Ramón",    "Hugo",    "Sergio",
    "Claudio",  "Walter",    "Adrián",      "Darío",    "Leandro",  "Damián",  "Emiliano",
    "Ezequiel", "Iván",      "Julián",      "Bruno",    "Valentín", "Felipe",  "Bautista",
    "Lionel",   "Hernán",    "Germán",      "Esteban",  "Cristian", "Emanuel", "Ángel",
    "Íñigo",
};

static const char *const last[] = {
    "González",  "Rodríguez", "Gómez",      "Fernández",  "López",     "Díaz",      "Martínez",
    "Pérez",     "García",    "Sánchez",    "Romero",     "Sosa",      "Torres",    "Álvarez",
    "Ruiz",      "Ramírez",   "Flores",     "Acosta",     "Benítez",   "Medina",    "Suárez",
    "Herrera",   "Aguirre",   "Pereyra",    "Gutiérrez",  "Giménez",   "Molina",    "Silva",
    "Castro",    "Rojas",     "Ortiz",      "Núñez",      "Luna",      "Juárez",    "Cabrera",
    "Ríos",      "Ferreyra",  "Godoy",      "Morales",    "Domínguez", "Moreno",    "Peralta",
    "Vega",      "Carrizo",   "Quiroga",    "Castillo",   "Ledesma",   "Muñoz",     "Ojeda",
    "Ponce",     "Vera",      "Vázquez",    "Villalba",   "Cardozo",   "Navarro",   "Ramos",
    "Arias",     "Coronel",   "Córdoba",    "Figueroa",   "Correa",    "Cáceres",   "Vargas",
    "Maldonado", "Mansilla",  "Farías",     "Rivero",     "Paz",       "Miranda",   "Roldán",
    "Méndez",    "Guzmán",    "Agüero",     "Hernández",  "Lucero",    "Cruz",      "Páez",
    "Escobar",   "Mendoza",   "Barrios",    "Bustos",     "Ávila",     "Ayala",     "Blanco",
    "Soria",     "Maidana",   "Acuña",      "Leiva",      "Duarte",    "Moyano",    "Campos",
    "Soto",      "Martín",    "Valdez",     "Bravo",      "Chávez",    "Velázquez", "Olivera",
    "Toledo",    "Franco",    "Ibáñez",     "Montenegro", "Arce",      "Rossi",     "Ferrari",
    "Russo",     "Bianchi",   "Romano",     "Esposito",   "Ricci",     "Gallo",     "Conti",
    "Costa",     "Fontana",   "Bruno",      "Rinaldi",    "Moretti",   "D'Angelo",  "Lombardi",
    "Peña",      "Yáñez",     "Etcheverry", "Goñi",       "Echagüe",   "Lorca",     "Schmidt",
    "Müller",    "Weber",     "Kowalski",
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

const struct names names_first[2] = {{women, COUNT(women)}, {men, COUNT(men)}};
const struct names names_last = {last, COUNT(last)};
